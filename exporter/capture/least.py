"""The smallest sizes of free dims for which each step of a graph has something to compute.

A convolution needs a window of cells, topk its k, a slice its start. torch looks when the model runs; a port may not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..graph import Array, Dim, Graph, Node, Value, evaluate_dim
from ..graph.conditions import conditions_of
from ..graph.limits import Limit, limits_of, record_limits
from ..ops import (
    ArgMax,
    ArgMin,
    AveragePool,
    BorderMode,
    BorderPad,
    Cast,
    Conv,
    Expand,
    Gather,
    MaxPool,
    ReduceMax,
    ReduceMin,
    Reshape,
    Slice,
    TakeAlong,
    TopK,
)


def limit_from_below(graph: Graph, sizes: Mapping[str, int], asked: Sequence[tuple[Dim, int]] = ()) -> list[str]:
    """Records the least sizes among the graph's limits; gives a notice for each that is more than it was.

    sizes   at which every step works: those of the examples
    asked   dims and what they have to be at least, beyond what the nodes say
    """
    limits, notices = limits_of(graph), []
    for name, least in _least_sizes(graph, sizes, asked).items():
        before = limits.get(name, Limit())
        if least > before.least:
            limits[name] = before.meet(Limit(least))
            notices.append(f'"{name}" is free, with {Limit(least)}')
    record_limits(graph, limits)
    return notices


def _least_sizes(graph: Graph, sizes: Mapping[str, int], asked: Sequence[tuple[Dim, int]]) -> dict[str, int]:
    """By halving: what works for a size works for larger ones."""

    related = [condition for condition in conditions_of(graph) if condition.relation == "<="]

    def works_at(tried: dict[str, int]) -> bool:
        for condition in related:  # a size that may not exceed another goes down with it
            if not condition.holds(tried) and str(condition.left) in tried:
                tried = tried | {str(condition.left): evaluate_dim(condition.right, tried)}
        enough = all(evaluate_dim(dim, tried) >= least for dim, least in asked)
        return enough and all(_has_cells(node, tried) for node in free)

    free = [node for node in graph.nodes if any(value.type.free_names for value in (*node.inputs, *node.outputs))]
    least: dict[str, int] = {}
    for name, works in sizes.items():
        fails = 0
        while works - fails > 1:
            size = 1 if fails == 0 else (fails + works) // 2
            if works_at({**sizes, name: size}):
                works = size
            else:
                fails = size
        if works > 1:
            least[name] = works
    return least


def _has_cells(node: Node, sizes: Mapping[str, int]) -> bool:
    """Whether a node can compute its result at these sizes."""
    try:
        given, made = ([v.type.evaluate(sizes) for v in values] for values in (node.inputs, node.outputs))
    except ArithmeticError:
        return False
    if any(size < 0 for shape in made for size in shape):
        return False
    op = node.op
    if isinstance(op, Conv | MaxPool | AveragePool):
        return 0 not in made[0]
    if isinstance(op, ReduceMax | ReduceMin):
        return all(given[0][axis] for axis in op.axes)
    if isinstance(op, ArgMax | ArgMin):
        return given[0][op.axis] > 0
    if isinstance(op, TopK):
        return given[0][op.axis] >= op.k
    if isinstance(op, Slice):
        bounds = zip(op.axes, op.starts, op.stops, strict=True)
        return all(
            evaluate_dim(start, sizes) >= 0 and evaluate_dim(stop, sizes) <= given[0][axis]
            for axis, start, stop in bounds
            if made[0][axis]
        )
    if isinstance(op, Gather | TakeAlong):
        numbers = _known_numbers(node.inputs[1])
        return numbers is None or not numbers.size or int(numbers.max()) < given[0][op.axis]
    if isinstance(op, BorderPad):
        mirrors = op.mode is BorderMode.REFLECT
        wide = [max(sides) for sides in zip(op.before, op.after, strict=True)]
        return all(size > (most if mirrors else 0) for most, size in zip(wide, given[0], strict=True) if most)
    return True


def _known_numbers(value: Value) -> Array | None:
    """The numbers of places, whatever their shape; None where they depend on an input."""
    while value.producer is not None and isinstance(value.producer.op, Cast | Expand | Reshape):
        value = value.producer.inputs[0]
    return value.array() if value.is_constant else None
