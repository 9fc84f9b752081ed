"""Comparisons, logic and choice."""

from __future__ import annotations

from ....exporter.graph import DType, Node
from ....exporter.ops import (
    BitwiseXor,
    Equal,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    LogicalAnd,
    LogicalNot,
    LogicalOr,
    LogicalXor,
    NotEqual,
    OpAttrs,
    Where,
)
from ..emitters import NUMBERS, OWN_RUNTIME, emits, of_dtype, unsupported
from ..writer import Writer

_NAMES: dict[type[OpAttrs], str] = {
    Equal: "Equal",
    NotEqual: "NotEqual",
    Less: "Less",
    LessEqual: "LessEqual",
    Greater: "Greater",
    GreaterEqual: "GreaterEqual",
    LogicalAnd: "LogicalAnd",
    LogicalOr: "LogicalOr",
    LogicalXor: "NotEqual",
    LogicalNot: "LogicalNot",
    Where: "SelectV2",
}


@emits(Equal, NotEqual, accepts=of_dtype(*NUMBERS, DType.BOOL))
@emits(Less, LessEqual, Greater, GreaterEqual, accepts=of_dtype(*NUMBERS))
@emits(LogicalAnd, LogicalOr, LogicalXor, LogicalNot)
@emits(Where, accepts=of_dtype(*NUMBERS, DType.INT8, DType.UINT8, operand=1))
def logic(node: Node, writer: Writer) -> None:
    writer.node(_NAMES[type(node.op)], [writer.tensor(value) for value in node.inputs], node.output)


unsupported(
    BitwiseXor,
    because="TensorFlow.js runs no operation on the bits of integers from a graph model",
    help=f"compute with bools, or {OWN_RUNTIME}",
)
