"""Reductions."""

from __future__ import annotations

from typing import cast

from ....exporter.graph import DType, Node
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
from ..emitters import FLOAT, NUMBERS, emits, of_dtype
from ..sizes import reshape_tensor
from ..writer import Writer

_NAMES: dict[type[OpAttrs], str] = {
    ReduceMean: "Mean",
    ReduceSum: "Sum",
    ReduceMax: "Max",
    ReduceMin: "Min",
    ReduceProd: "Prod",
}


@emits(ReduceMean, accepts=FLOAT)
@emits(ReduceSum, ReduceMax, ReduceMin, ReduceProd, accepts=of_dtype(*NUMBERS))
def reduce(node: Node, writer: Writer) -> None:
    op, x = cast(ReduceOp, node.op), writer.tensor(node.inputs[0])
    if not op.axes:
        writer.node("Identity", [x], node.output)
        return
    writer.node(_NAMES[type(op)], [x, writer.int32s(op.axes, "axes")], node.output, keep_dims=op.keepdims)


@emits(ArgMax, ArgMin, accepts=of_dtype(*NUMBERS, DType.INT8, DType.UINT8))
def position(node: Node, writer: Writer) -> None:
    """The kernels drop the axis; it is put back by a reshape."""
    op, x = cast(ArgOp, node.op), node.inputs[0]
    axis = writer.int32(normalize_axis(op.axis, x.type.rank), "axis")
    name = "ArgMax" if isinstance(op, ArgMax) else "ArgMin"
    if not op.keepdims:
        writer.node(name, [writer.tensor(x), axis], node.output)
        return
    dropped = writer.node(name, [writer.tensor(x), axis], "dropped")
    writer.node("Reshape", [dropped, reshape_tensor(writer, node.output.type.shape)], node.output)


@emits(CumSum, accepts=of_dtype(*NUMBERS))
def cumulated(node: Node, writer: Writer) -> None:
    axis = writer.int32(normalize_axis(cast(CumSum, node.op).axis, node.output.type.rank), "axis")
    writer.node("Cumsum", [writer.tensor(node.inputs[0]), axis], node.output, exclusive=False, reverse=False)


@emits(TopK, accepts=of_dtype(*NUMBERS))
def top_k(node: Node, writer: Writer) -> None:
    """The kernel finds the largest along the last axis: others are swapped with it, the smallest negated."""
    op, x = cast(TopK, node.op), writer.tensor(node.inputs[0])
    rank = node.inputs[0].type.rank
    axis = normalize_axis(op.axis, rank)
    perm = list(range(rank))
    perm[axis], perm[-1] = perm[-1], perm[axis]
    order = writer.int32s(perm, "perm")
    if not op.largest:
        x = writer.node("Neg", [x], "negated")
    if axis != rank - 1:
        x = writer.node("Transpose", [x, order], "swapped")
    values = writer.node("TopKV2", [x, writer.int32(op.k, "k")], "found", sorted=True)
    positions = f"{values}:1"
    if axis != rank - 1:
        values = writer.node("Transpose", [values, order], "values")
        positions = writer.node("Transpose", [positions, order], "positions")
    if not op.largest:
        values = writer.node("Neg", [values], "smallest")
    for value, tensor in zip(node.outputs, (values, positions), strict=True):
        writer.bind(value, tensor)
