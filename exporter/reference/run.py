"""Running a whole graph in torch, in float32 or, to judge others, in float64."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping

import torch

from ..graph import Array, DType, Graph, Value
from ..graph.bind import bind_sizes
from ..passes.exact_values import exact_values
from .registry import compute

DTYPES = (DType.FLOAT32, DType.FLOAT64)


def run_graph(graph: Graph, inputs: Mapping[str, Array], *, dtype: DType | None = None) -> dict[str, Array]:
    """The graph's outputs for named arrays.

    inputs   {input name: array of the input's shape}
    dtype    computes every float in this dtype (FLOAT64 for a judge), but for values that are the same bits everywhere
             (`exact_values`); default: as the graph says
    raises   UsageError when a name, shape or dtype does not fit
    """
    wanted = set(graph.outputs.values())
    values = {value: _array(tensor) for value, tensor in _run(graph, inputs, dtype) if value in wanted}
    return {name: values[value] for name, value in graph.outputs.items()}


def run_values(
    graph: Graph, inputs: Mapping[str, Array], *, dtype: DType | None = None
) -> Iterator[tuple[Value, Array]]:
    """Every value a graph computes, in order: inputs, constants that are outputs, then each node's outputs."""
    return ((value, _array(tensor)) for value, tensor in _run(graph, inputs, dtype))


def _run(graph: Graph, inputs: Mapping[str, Array], dtype: DType | None) -> Iterator[tuple[Value, torch.Tensor]]:
    sizes = bind_sizes(graph, inputs)
    wide = getattr(torch, dtype.value) if dtype else None
    tensors: dict[Value, torch.Tensor] = {}

    def tensor(array: Array) -> torch.Tensor:
        own = _borrowed(array)
        return own.to(wide) if wide and own.dtype.is_floating_point else own

    exact = exact_values(graph) if wide else frozenset()
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
            for value, result in zip(node.outputs, compute(node.op, operands, sizes), strict=True):
                if wide and not known and result.dtype.is_floating_point:
                    result = result.to(wide)  # a cast names the dtype that the graph computes in
                tensors[value] = result
                yield value, result
            for value in node.inputs:
                if last_use[value] == position:
                    tensors.pop(value, None)


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
