"""Reductions: each run of neighbouring axes is the middle of an [outer, n, inner] kernel call."""

from __future__ import annotations

from ....exporter.graph import Dim, Node
from ....exporter.graph.dims import product
from ....exporter.ops import OpAttrs, ReduceMax, ReduceMean, ReduceMin, ReduceSum
from ..emitters import emits, floats_only
from ..writer import Writer

_KERNELS: dict[type[OpAttrs], str] = {
    ReduceMax: "reduce_max",
    ReduceMean: "reduce_mean",
    ReduceMin: "reduce_min",
    ReduceSum: "reduce_sum",
}


@emits(*_KERNELS, accepts=floats_only)
def reduce(node: Node, writer: Writer) -> None:
    op, x = node.op, node.inputs[0]
    assert isinstance(op, ReduceMax | ReduceMean | ReduceMin | ReduceSum)
    groups = _neighbours(op.axes)
    if not groups:
        writer.alias(node.output, x)
        return
    shape: list[Dim] = list(x.type.shape)
    source = writer.operand(x)
    for i, (first, end) in enumerate(reversed(groups)):
        outer, count, inner = (
            product(tuple(shape[:first])),
            product(tuple(shape[first:end])),
            product(tuple(shape[end:])),
        )
        shape[first:end] = [1] * (end - first)
        target = writer.result(node.output) if i == len(groups) - 1 else writer.scratch(outer * inner)
        writer.call(_KERNELS[type(op)], target, source, outer, count, inner)
        source = target


def _neighbours(axes: tuple[int, ...]) -> list[tuple[int, int]]:
    """Ascending axes as runs [first, end)."""
    found: list[tuple[int, int]] = []
    for axis in axes:
        if found and found[-1][1] == axis:
            found[-1] = (found[-1][0], axis + 1)
        else:
            found.append((axis, axis + 1))
    return found
