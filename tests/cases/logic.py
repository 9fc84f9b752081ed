from __future__ import annotations

import math

from triport.exporter.graph import DType
from triport.exporter.ops import (
    BitwiseAnd,
    BitwiseOr,
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

from .case import Const, Data, OpCase

_COMPARE: dict[str, OpAttrs] = {
    "equal": Equal(),
    "not_equal": NotEqual(),
    "less": Less(),
    "less_equal": LessEqual(),
    "greater": Greater(),
    "greater_equal": GreaterEqual(),
}
_LOGIC: dict[str, OpAttrs] = {"logical_and": LogicalAnd(), "logical_or": LogicalOr(), "logical_xor": LogicalXor()}
_BITS: dict[str, OpAttrs] = {"bitwise_and": BitwiseAnd(), "bitwise_or": BitwiseOr(), "bitwise_xor": BitwiseXor()}
_INTEGERS = {"int32": DType.INT32, "int64": DType.INT64}
_BOOLS = Data((4, 5), dtype=DType.BOOL)
_NAN = Data((5,), values=(math.nan, 1.0, math.inf, -math.inf, 0.0))
_WIDE = -(2**31), 2**31 - 1

CASES = [
    *(OpCase(name, op, (Data((4, 5), -2, 2), Data((4, 5), -2, 2))) for name, op in _COMPARE.items()),
    *(OpCase(f"{name}/nan", op, (_NAN, Data((5,), values=(1.0, math.nan, 1.0)))) for name, op in _COMPARE.items()),
    *(OpCase(f"{name}/outer", op, (Data((4, 1)), Data((1, 5)))) for name, op in _COMPARE.items()),
    *(
        OpCase(f"{name}/{dtype}", op, (Data((4, 5), -2, 2, kind), Const((), 1, 1, kind)))
        for name, op in _COMPARE.items()
        for dtype, kind in _INTEGERS.items()
    ),
    *(OpCase(name, op, (_BOOLS, _BOOLS)) for name, op in _LOGIC.items()),
    *(OpCase(f"{name}/row", op, (_BOOLS, Data((1, 5), dtype=DType.BOOL))) for name, op in _LOGIC.items()),
    OpCase("logical_not", LogicalNot(), (_BOOLS,)),
    *(
        OpCase(f"{name}/{dtype}", op, (Data((4, 5), *_WIDE, kind), Data((4, 5), *_WIDE, kind)))
        for name, op in _BITS.items()
        for dtype, kind in _INTEGERS.items()
    ),
    OpCase("where", Where(), (_BOOLS, Data((4, 5)), Data((4, 5)))),
    OpCase("where/one_condition_a_row", Where(), (Data((4, 1), dtype=DType.BOOL), Data((4, 5)), Const(()))),
    OpCase("where/all_broadcast", Where(), (Data((3, 1, 1), dtype=DType.BOOL), Data((1, 4, 1)), Data((1, 1, 5)))),
    OpCase("where/scalars", Where(), (Data((4, 5), dtype=DType.BOOL), Const(()), Const(()))),
    OpCase("where/int64", Where(), (_BOOLS, Data((4, 5), -9, 9, DType.INT64), Data((1, 5), -9, 9, DType.INT64))),
    OpCase("where/int32", Where(), (_BOOLS, Data((4, 5), -9, 9, DType.INT32), Const((), 0, 0, DType.INT32))),
    OpCase("where/bools", Where(), (_BOOLS, _BOOLS, Data((4, 5), dtype=DType.BOOL))),
    OpCase("where/not_what_is_nan", Where(), (_BOOLS, Data((4, 5), values=(math.nan, 1.0)), Data((4, 5)))),
    OpCase("where/rank_5", Where(), (Data((2, 1, 3, 2), dtype=DType.BOOL), Data((2, 2, 3, 2)), Const((2,)))),
]
