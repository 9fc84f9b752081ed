"""Reductions: MEAN, SUM, REDUCE_*, ARG_MAX, ARG_MIN, CUMSUM, TOPK_V2."""

from __future__ import annotations

import numpy as np

from ....exporter.graph import DType, Node, TensorType
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
from ..registry import FLOAT, NUMBERS, emits, of_dtype
from ..schema import schema
from ..writer import Writer
from .elementwise import write_copy
from .shape import write_reshape

_CODES: dict[type[OpAttrs], str] = {
    ReduceMean: "MEAN",
    ReduceSum: "SUM",
    ReduceMax: "REDUCE_MAX",
    ReduceMin: "REDUCE_MIN",
    ReduceProd: "REDUCE_PROD",
}


@emits(ReduceMean, accepts=FLOAT)
@emits(ReduceProd, accepts=of_dtype(*NUMBERS))
@emits(ReduceSum, ReduceMax, ReduceMin, accepts=of_dtype(*NUMBERS, DType.INT8))
def reduce(node: Node, writer: Writer) -> None:
    op = node.op
    assert isinstance(op, ReduceOp)
    if not op.axes:
        write_copy(node, writer)
        return
    inputs = [writer.tensor(node.inputs[0]), writer.int32s(op.axes, "axes")]
    options = schema.ReducerOptionsT(keepDims=op.keepdims)
    writer.operator(_CODES[type(op)], inputs, writer.tensor(node.output), options)


@emits(ArgMax, ArgMin, accepts=of_dtype(DType.FLOAT32, DType.INT32, DType.INT64, DType.INT8, DType.UINT8))
def position(node: Node, writer: Writer) -> None:
    """The operators drop the axis; it is put back by a reshape."""
    op, x, type = node.op, node.inputs[0], node.output.type
    assert isinstance(op, ArgOp)
    axis = normalize_axis(op.axis, x.type.rank)
    code, options = ("ARG_MAX", schema.ArgMaxOptionsT) if isinstance(op, ArgMax) else ("ARG_MIN", schema.ArgMinOptionsT)
    inputs = [writer.tensor(x), writer.constant(np.array(axis, np.int32), "axis")]
    made = options(outputType=schema.TensorType.INT32)
    if not op.keepdims:
        writer.operator(code, inputs, writer.tensor(node.output), made)
        return
    dropped = type.with_shape((*type.shape[:axis], *type.shape[axis + 1 :]))
    found = writer.step(code, inputs, node, "dropped", dropped, made)
    write_reshape(writer, node, found, type.shape, writer.tensor(node.output))


@emits(CumSum, accepts=of_dtype(*NUMBERS))
def cumulated(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, CumSum)
    axis = normalize_axis(node.op.axis, node.output.type.rank)
    inputs = [writer.tensor(node.inputs[0]), writer.constant(np.array(axis, np.int32), "axis")]
    writer.operator("CUMSUM", inputs, writer.tensor(node.output), schema.CumsumOptionsT(exclusive=False, reverse=False))


@emits(TopK, accepts=of_dtype(*NUMBERS))
def top_k(node: Node, writer: Writer) -> None:
    """TOPK_V2 finds the largest along the last axis: others are swapped with it, the smallest negated."""
    op, x = node.op, node.inputs[0]
    assert isinstance(op, TopK)
    rank, axis = x.type.rank, normalize_axis(op.axis, x.type.rank)
    perm = list(range(rank))
    perm[axis], perm[-1] = perm[-1], perm[axis]
    order = writer.int32s(perm, "perm")

    def swapped(type: TensorType) -> TensorType:
        return type.with_shape(tuple(type.shape[a] for a in perm))

    values, positions = node.outputs
    source = writer.tensor(x)
    if not op.largest:
        source = _negated(writer, node, source, x.type)
    if axis != rank - 1:
        source = writer.step("TRANSPOSE", [source, order], node, "swapped", swapped(x.type), schema.TransposeOptionsT())
    ends = [writer.tensor(value) for value in node.outputs]
    found = list(ends)
    if axis != rank - 1 or not op.largest:
        found[0] = writer.temporary(node, "found", swapped(values.type))
    if axis != rank - 1:
        found[1] = writer.temporary(node, "positions", swapped(positions.type))
    count = writer.constant(np.array(op.k, np.int32), "k")
    writer.operators("TOPK_V2", [source, count], found, schema.TopKV2OptionsT())
    if axis != rank - 1:
        writer.operator("TRANSPOSE", [found[1], order], ends[1], schema.TransposeOptionsT())
        if op.largest:
            writer.operator("TRANSPOSE", [found[0], order], ends[0], schema.TransposeOptionsT())
            return
        found[0] = writer.step("TRANSPOSE", [found[0], order], node, "back", values.type, schema.TransposeOptionsT())
    if not op.largest:
        writer.operator("NEG", [found[0]], ends[0], schema.NegOptionsT())


def _negated(writer: Writer, node: Node, tensor: int, type: TensorType) -> int:
    return writer.step("NEG", [tensor], node, "negated", type, schema.NegOptionsT())
