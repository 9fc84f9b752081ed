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
from ..emitters import NUMBERS, all_of, broadcasts_up_to, emits, of_dtype, unsupported
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


@emits(Equal, NotEqual, accepts=all_of(of_dtype(*NUMBERS, DType.BOOL), broadcasts_up_to(6)))
@emits(Less, LessEqual, Greater, GreaterEqual, accepts=all_of(of_dtype(*NUMBERS), broadcasts_up_to(6)))
@emits(LogicalAnd, LogicalOr, LogicalXor, accepts=broadcasts_up_to(6))
@emits(LogicalNot)
@emits(Where, accepts=of_dtype(*NUMBERS, DType.INT8, DType.UINT8, operand=1))
def logic(node: Node, writer: Writer) -> None:
    writer.node(_NAMES[type(node.op)], [writer.tensor(value) for value in node.inputs], node.output)


unsupported(
    BitwiseXor,
    because="TensorFlow.js runs no operation on the bits of integers from a graph model",
    help="compute with bools",
)
