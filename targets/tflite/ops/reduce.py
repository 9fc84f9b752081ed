"""Reductions: MEAN, SUM, REDUCE_MAX, REDUCE_MIN."""

from __future__ import annotations

from ....exporter.graph import DType, Node
from ....exporter.ops import OpAttrs, ReduceMax, ReduceMean, ReduceMin, ReduceOp, ReduceSum
from ..registry import FLOAT, NUMBERS, emits, of_dtype
from ..schema import schema
from ..writer import Writer
from .elementwise import write_copy

_CODES: dict[type[OpAttrs], str] = {
    ReduceMean: "MEAN",
    ReduceSum: "SUM",
    ReduceMax: "REDUCE_MAX",
    ReduceMin: "REDUCE_MIN",
}


@emits(ReduceMean, accepts=FLOAT)
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
