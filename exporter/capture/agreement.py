"""Whether a captured graph says what the module said, and whose doing it is when it does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch.export import ExportedProgram

from ..errors import ModelError, TriportError
from ..graph import Array, DType, Graph, Sample
from ..graph.bind import bind_sizes
from ..graph.conditions import allows
from ..graph.further import further_sizes
from ..reference import run_graph
from .inputs import Inputs
from .mutation import user_outputs

Answer = Callable[[Mapping[str, Array]], dict[str, Array]]
"""The module: outputs by name for inputs by name."""

_LIKE = 1e-4
"""Of an output's range: two answers that lie further apart are not the same computation."""

SURE = 0.4
"""Part of the bound that two float32 answers may differ by without asking for the exact one.

With d = |told - plain|, e = |plain - exact| and the bound b: if d <= 0.4 b, then |told - exact| <= 0.4 b + e, which is
at most b where e <= b / 2, and else less than 2 e. Accepted is max(b, 4 e).
"""


def check_against(graph: Graph, sample: Sample, answer: Answer, found: Mapping[str, Array] | None = None) -> None:
    """ModelError when the reference does not answer what the module answered, within float32's own error.

    found   what the reference answers in float32, where that is known

    The judge is the reference in float64; it need not be asked where the reference in float32 is so near to the module
    that it can say nothing else.
    """
    plain = run_graph(graph, sample.inputs) if found is None else found
    if all(_surely_same(plain[name], told) for name, told in sample.outputs.items()):
        return
    exact = run_graph(graph, sample.inputs, dtype=DType.FLOAT64)
    for name, told in sample.outputs.items():
        problem = _difference(exact[name], plain[name], told)
        if problem:
            raise _blame(graph, sample, answer, name, problem)


def check_traced(program: ExportedProgram, own: Mapping[str, torch.Tensor], inputs: Inputs) -> None:
    """ModelError where torch.export takes an output for one of another shape than the module answers.

    TP205 when the examples have a free size of 1, which torch.export takes to be 2 or more; else TP207.
    """
    ones = (dim for name, axes in inputs.dynamic.items() for axis, dim in axes.items() if _is_one(inputs, name, axis))
    one = next(ones, None)
    for traced, (name, answered) in zip(user_outputs(program), own.items(), strict=False):
        shape = getattr(getattr(traced, "meta", {}).get("val"), "shape", answered.shape)
        pairs = zip(shape, answered.shape, strict=False)
        if len(shape) != answered.ndim or any(isinstance(size, int) and size != told for size, told in pairs):
            if one is not None:
                raise _otherwise_at_one(one)
            raise ModelError(
                "TP207",
                f'torch.export traces output "{name}" with another shape than the model answers: '
                f"{list(shape)} instead of {list(answered.shape)}",
                because="an op of torch has another rule for its shape than for its values",
                help="put a reshape to the shape that you need behind it, or write the op with others",
            )


def _is_one(inputs: Inputs, name: str, axis: int) -> bool:
    return inputs.tensors[name].shape[axis] == 1


def check_sizes(graph: Graph, sample: Sample, answer: Answer) -> list[str]:
    """Compares graph and module at other sizes of the free dims than the sample's: at another of each, and at 1.

    torch.export takes free sizes to be 2 or more, so what a module does at 1 alone (squeeze, ``if x.shape[0] == 1``) is
    not in the graph: notices say along which dims. Raises ModelError TP205 when that happens along the batch, TP211
    when the answers differ at a size that is not 1.
    """
    sizes = bind_sizes(graph, sample.inputs)
    firsts = {value.type.shape[0] for value in graph.inputs if value.type.rank}
    batch = {name for name in sizes if name in map(str, firsts)}
    others = further_sizes(graph, sizes, keep=batch if len(firsts) == 1 else ())
    ones = {name: sizes | {name: 1} for name in graph.free_names() if sizes.get(name, 1) > 1}
    allowed = {name: changed for name, changed in ones.items() if allows(graph, changed)}
    both = others | dict.fromkeys(batch, 1)
    together = others != sizes and len(firsts) == len(batch) == 1 and allows(graph, both)
    # One row at other sizes costs little; where the two differ there, it is looked for below.
    if together and _difference_at(graph, _resized(graph, sample.inputs, both), answer) == "":
        allowed = {name: changed for name, changed in allowed.items() if name not in batch}
        others = sizes
    told = []
    for name, changed in allowed.items():
        if not _difference_at(graph, _resized(graph, sample.inputs, changed), answer):
            continue
        if name in batch:
            raise _otherwise_at_one(name)
        told.append(f'the graph answers "{name}" = 1 otherwise than the module does: pass 2 or more')
    if others != sizes and (problem := _difference_at(graph, _resized(graph, sample.inputs, others), answer)):
        raise _otherwise_at(sizes, others, problem)
    return told


def _difference(exact: Array, plain: Array, told: Array) -> str:
    """What differs between the graph in float64 and in float32, and the module; "" when nothing does."""
    if exact.shape != told.shape:
        return f"shape {list(exact.shape)} instead of {list(told.shape)}"
    if told.size == 0 or not np.issubdtype(told.dtype, np.floating):
        return "" if np.array_equal(exact, told) or np.array_equal(plain, told) else "other integers"
    # What overflows float32 in the graph too is the model's own doing: `export` says in which layer.
    expected = np.isfinite(exact) & np.isfinite(plain)
    finite = np.isfinite(told) & expected
    if not np.array_equal(np.isfinite(told), expected):
        return "other cells are NaN or infinite"
    if not finite.any():
        return ""
    judge = exact[finite].astype(np.float64)
    own = float(np.abs(plain[finite].astype(np.float64) - judge).max())
    bound = max(_bound(judge), 4 * own)
    worst = float(np.abs(told[finite].astype(np.float64) - judge).max())
    return f"a difference of {worst:.3g}, accepted is {bound:.3g}" if worst > bound else ""


def _surely_same(plain: Array, told: Array) -> bool:
    """Whether the exact answer cannot but accept what was told, judged by the float32 reference alone."""
    if plain.shape != told.shape or plain.dtype != told.dtype:
        return False
    if told.size == 0 or not np.issubdtype(told.dtype, np.floating):
        return np.array_equal(plain, told)
    if not (np.isfinite(plain).all() and np.isfinite(told).all()):
        return False
    judge = plain.astype(np.float64)
    return float(np.abs(told.astype(np.float64) - judge).max()) <= SURE * _bound(judge)


def _bound(judge: Array) -> float:
    """What float32 may differ by: 1e-5 of the range, or for numbers that are nearly equal 1e-6 of their size."""
    # One value alone, or a constant, spans nothing; what it is a part of is then its own size.
    span, magnitude = float(judge.max() - judge.min()), float(np.abs(judge).max())
    return max(1e-5 * (span or magnitude), 1e-6 * magnitude)


def _blame(graph: Graph, sample: Sample, answer: Answer, output: str, problem: str) -> ModelError:
    """The error for a disagreement: the module's own doing where it can be shown, else ours."""
    again = answer(sample.inputs)
    if not all(alike(again[name], told) for name, told in sample.outputs.items()):
        return ModelError(
            "TP212",
            f'the model answers differently each time it is called, at output "{output}"',
            because="it draws random numbers, or counts its calls",
            help="switch that off in eval mode (if self.training:), or make the changing number an input",
        )
    for name, size in bind_sizes(graph, sample.inputs).items():
        if size == 1:
            return _otherwise_at_one(name)
    return ModelError(
        "TP211",
        f'the captured graph does not answer what the module answered at output "{output}": {problem}',
        because=f"{len(graph.nodes)} nodes were captured and one of them means something else in torch",
        help="this is a defect of triport: please report it with the module",
    )


def _otherwise_at_one(name: str) -> ModelError:
    return ModelError(
        "TP205",
        f'the dimension "{name}" cannot be free: at a size of 1 the module computes something else',
        because="squeeze() without an axis, or a condition on the size, takes another way there",
        help=f'name the axis, as in squeeze(1), or fix the size: leave "{name}" out of dynamic=',
    )


def _otherwise_at(sizes: Mapping[str, int], others: Mapping[str, int], problem: str) -> ModelError:
    """The error for sizes that the examples do not have."""
    changed = [name for name, size in others.items() if size != sizes[name]]
    at = ", ".join(f'"{name}" = {others[name]}' for name in changed)
    return ModelError(
        "TP211",
        f"the captured graph does not answer what the module answers at {at}: {problem}",
        because="the module was traced at the sizes of the example, and computes something else at these",
        help=f"fix the size: leave {', '.join(changed)} out of dynamic=",
    )


def _difference_at(graph: Graph, inputs: Mapping[str, Array], answer: Answer) -> str | None:
    """What differs between graph and module; "" for alike answers, None where the module takes no such input."""
    try:
        told = answer(inputs)
    except TriportError:
        return None
    try:
        found = run_graph(graph, inputs)
    except (TriportError, RuntimeError, IndexError, ValueError) as error:
        return f"the graph fails: {error}"
    different = [name for name, array in told.items() if not alike(found[name], array)]
    return f'output "{different[0]}"' if different else ""


def alike(a: Array, b: Array) -> bool:
    """Whether two answers can be of one computation, by their shapes and with a wide tolerance."""
    if a.shape != b.shape:
        return False
    if not np.issubdtype(b.dtype, np.floating) or not b.size:
        return np.array_equal(a, b)
    span = float(np.nanmax(np.abs(np.where(np.isfinite(b), b, 0)))) or 1.0
    return bool(np.allclose(a, b, rtol=0, atol=_LIKE * span, equal_nan=True))


def _resized(graph: Graph, inputs: Mapping[str, Array], sizes: Mapping[str, int]) -> dict[str, Array]:
    """The arrays repeated or cut to these sizes of the free dims."""
    made: dict[str, Array] = {}
    for value in graph.inputs:
        array = inputs[value.name]
        for axis, size in enumerate(value.type.evaluate(sizes)):
            array = np.take(array, np.arange(size) % array.shape[axis], axis)
        made[value.name] = array
    return made
