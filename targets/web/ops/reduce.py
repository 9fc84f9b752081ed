"""Reductions: each run of neighbouring axes is the middle of an [outer, n, inner] kernel call."""

from __future__ import annotations

from ....exporter.graph import Dim, DType, Node
from ....exporter.graph.dims import product
from ....exporter.ops import (
    ArgMax,
    ArgMin,
    ArgOp,
    CumSum,
    OpAttrs,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceOp,
    ReduceProd,
    ReduceSum,
    TopK,
)
from ....exporter.ops.base import normalize_axis
from ..emitters import emits, floats_only
from ..writer import Writer
from .elementwise import floats_or_integers

_KERNELS: dict[type[OpAttrs], str] = {
    ReduceMax: "reduce_max",
    ReduceMean: "reduce_mean",
    ReduceMin: "reduce_min",
    ReduceProd: "reduce_prod",
    ReduceSum: "reduce_sum",
}


@emits(ReduceMean, accepts=floats_only)
@emits(ReduceMax, ReduceMin, ReduceProd, ReduceSum, accepts=floats_or_integers)
def reduce(node: Node, writer: Writer) -> None:
    op, x = node.op, node.inputs[0]
    assert isinstance(op, ReduceOp)
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
        writer.call(_KERNELS[type(op)] + _suffix(node), target, source, outer, count, inner)
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


def _suffix(node: Node) -> str:
    """int32 and float32 have kernels of their own."""
    return "" if node.inputs[0].type.dtype is DType.FLOAT32 else "_i32"


def _around(node: Node, axis: int) -> tuple[Dim, Dim, Dim]:
    """The operand as [outer, n, inner]."""
    shape = node.inputs[0].type.shape
    at = normalize_axis(axis, len(shape))
    return product(shape[:at]), shape[at], product(shape[at + 1 :])


@emits(ArgMax, ArgMin, accepts=floats_or_integers)
def position(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, ArgOp)
    kernel = "arg_max" if isinstance(node.op, ArgMax) else "arg_min"
    source = writer.operand(node.inputs[0])
    writer.call(kernel + _suffix(node), writer.result(node.output), source, *_around(node, node.op.axis))


@emits(CumSum, accepts=floats_or_integers)
def cumulated(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, CumSum)
    x = node.inputs[0]
    source = writer.operand(x)
    writer.call("cum_sum" + _suffix(node), writer.result_over(node.output, x), source, *_around(node, node.op.axis))


@emits(TopK, accepts=floats_or_integers)
def top_k(node: Node, writer: Writer) -> None:
    op = node.op
    assert isinstance(op, TopK)
    outer, count, inner = _around(node, op.axis)
    source = writer.operand(node.inputs[0])
    values, positions = (writer.result(value) for value in node.outputs)
    work = writer.scratch(count * 2)
    writer.call("top_k" + _suffix(node), values, positions, source, work, outer, count, inner, op.k, int(op.largest))
