"""Comparisons, logic and choice: EQUAL … GREATER_EQUAL, LOGICAL_*, BITWISE_XOR, SELECT_V2."""

from __future__ import annotations

from typing import Any

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
from ..registry import MOVABLE, NUMBERS, all_of, at_most_rank, broadcasts_up_to, emits, of_dtype
from ..schema import schema
from ..writer import Writer

_CODES: dict[type[OpAttrs], tuple[str, Any]] = {
    Equal: ("EQUAL", schema.EqualOptionsT),
    NotEqual: ("NOT_EQUAL", schema.NotEqualOptionsT),
    Less: ("LESS", schema.LessOptionsT),
    LessEqual: ("LESS_EQUAL", schema.LessEqualOptionsT),
    Greater: ("GREATER", schema.GreaterOptionsT),
    GreaterEqual: ("GREATER_EQUAL", schema.GreaterEqualOptionsT),
    LogicalAnd: ("LOGICAL_AND", schema.LogicalAndOptionsT),
    LogicalOr: ("LOGICAL_OR", schema.LogicalOrOptionsT),
    LogicalXor: ("NOT_EQUAL", schema.NotEqualOptionsT),
    LogicalNot: ("LOGICAL_NOT", schema.LogicalNotOptionsT),
    BitwiseXor: ("BITWISE_XOR", schema.BitwiseXorOptionsT),
    Where: ("SELECT_V2", schema.SelectV2OptionsT),
}


@emits(Equal, NotEqual, accepts=all_of(of_dtype(*NUMBERS, DType.BOOL), broadcasts_up_to(4)))
@emits(Less, LessEqual, Greater, GreaterEqual, accepts=all_of(of_dtype(*NUMBERS), broadcasts_up_to(4)))
@emits(LogicalAnd, LogicalOr, LogicalXor, accepts=broadcasts_up_to(4))
@emits(BitwiseXor, accepts=all_of(of_dtype(DType.INT32, DType.INT64, DType.INT8, DType.UINT8), broadcasts_up_to(4)))
@emits(LogicalNot)
@emits(Where, accepts=all_of(of_dtype(*MOVABLE, operand=1), at_most_rank(5)))
def logic(node: Node, writer: Writer) -> None:
    code, options = _CODES[type(node.op)]
    writer.operator(code, writer.tensors(node.inputs), writer.tensor(node.output), options())
