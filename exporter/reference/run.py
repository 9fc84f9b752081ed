"""Running a whole graph in torch, in float32 or, to judge others, in float64."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence

import torch

from ..errors import UsageError
from ..graph import Array, DType, Graph, Node, Value
from ..graph.bind import bind_sizes
from ..ops import Gather, Scatter, TakeAlong
from ..passes.exact_values import float32_values
from .registry import Sizes, compute

DTYPES = (DType.FLOAT32, DType.FLOAT64)


def run_graph(graph: Graph, inputs: Mapping[str, Array], *, dtype: DType | None = None) -> dict[str, Array]:
    """The graph's outputs for named arrays.

    inputs   {input name: array of the input's shape}
    dtype    computes every float in this dtype (FLOAT64 for a judge), but for values that are the same bits everywhere
             (`float32_values`); default: as the graph says
    raises   UsageError when a name, shape, dtype or the number of a cell does not fit
    """
    wanted = set(graph.outputs.values())
    values = {value: _array(tensor) for value, tensor in run_tensors(graph, inputs, dtype) if value in wanted}
    return {name: values[value] for name, value in graph.outputs.items()}


def run_values(
    graph: Graph, inputs: Mapping[str, Array], *, dtype: DType | None = None
) -> Iterator[tuple[Value, Array]]:
    """Every value a graph computes, in order: inputs, constants that are outputs, then each node's outputs."""
    return ((value, _array(tensor)) for value, tensor in run_tensors(graph, inputs, dtype))


def run_tensors(
    graph: Graph, inputs: Mapping[str, Array], dtype: DType | None = None
) -> Generator[tuple[Value, torch.Tensor]]:
    """`run_values`, in torch's tensors; whoever asks for the next value has it computed then."""
    sizes = bind_sizes(graph, inputs)
    wide = getattr(torch, dtype.value) if dtype else None
    tensors: dict[Value, torch.Tensor] = {}

    def tensor(array: Array) -> torch.Tensor:
        own = _borrowed(array)
        return own.to(wide) if wide and own.dtype.is_floating_point else own

    exact = float32_values(graph) if wide else frozenset()
    last_use: dict[Value, int] = {}
    for position, node in enumerate(graph.nodes):
        for value in node.inputs:
            last_use[value] = position
    with torch.no_grad():
        for value in graph.inputs:
            tensors[value] = _borrowed(inputs[value.name]) if value in exact else tensor(inputs[value.name])
            yield value, tensors[value]
        for value in graph.outputs.values():
            if value.is_constant:
                yield value, tensor(value.array())
        for position, node in enumerate(graph.nodes):
            known = all(value in exact for value in node.outputs)
            operands = [_borrowed(v.array()) if v.is_constant else tensors[v] for v in node.inputs]
            if wide and not known:
                operands = [x.to(wide) if x.dtype.is_floating_point else x for x in operands]
            for value, result in zip(node.outputs, _computed(node, operands, sizes), strict=True):
                if wide and not known and result.dtype.is_floating_point:
                    result = result.to(wide)  # a cast names the dtype that the graph computes in
                tensors[value] = result
                yield value, result
            for value in node.inputs:
                if last_use[value] == position:
                    tensors.pop(value, None)


def _computed(node: Node, operands: list[torch.Tensor], sizes: Sizes) -> Sequence[torch.Tensor]:
    """The node's results; UsageError TP001 for numbers of cells that the tensor does not have."""
    try:
        return compute(node.op, operands, sizes)
    except (IndexError, RuntimeError):
        if not isinstance(node.op, Gather | TakeAlong | Scatter):
            raise
        cells = operands[0].shape[0 if isinstance(node.op, Scatter) else node.op.axis]
        wrong = [index for index in operands[1].reshape(-1).tolist() if not 0 <= index < cells]
        if not wrong:
            raise
    raise UsageError(
        "TP001",
        f'{node.op.name} "{node.name}": index {wrong[0]} is out of range for {cells} cells',
        at=str(node.source) or None,
        help=f"pass numbers from 0 to {cells - 1}",
    )


def _borrowed(array: Array) -> torch.Tensor:
    """A tensor over the memory of an array; nothing here writes into it."""
    if array.flags.writeable and array.flags.c_contiguous:
        return torch.from_numpy(array)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch's, about memory that is read-only, such as a mapped file
        return torch.from_numpy(array if array.flags.c_contiguous else array.copy())


def _array(tensor: torch.Tensor) -> Array:
    array: Array = tensor.contiguous().numpy()
    return array
