from __future__ import annotations

import math

from triport.exporter.graph import DType
from triport.exporter.ops import (
    Abs,
    Acos,
    Acosh,
    Add,
    Asin,
    Asinh,
    Atan,
    Atan2,
    Atanh,
    Cast,
    Ceil,
    Cos,
    Cosh,
    Div,
    Erf,
    Exp,
    Expm1,
    Floor,
    FloorDivide,
    Fmod,
    Identity,
    Log,
    Log1p,
    Maximum,
    Minimum,
    Mul,
    Neg,
    OpAttrs,
    Pow,
    Remainder,
    Round,
    Rsqrt,
    Sign,
    Sin,
    Sinh,
    Sqrt,
    Sub,
    Tan,
    Trunc,
)

from .case import Const, Data, OpCase

_BINARY: dict[str, OpAttrs] = {
    "add": Add(),
    "sub": Sub(),
    "mul": Mul(),
    "maximum": Maximum(),
    "minimum": Minimum(),
}
_ROUNDING: dict[str, OpAttrs] = {"floor": Floor(), "ceil": Ceil(), "round": Round(), "trunc": Trunc(), "sign": Sign()}
_HALVES = (-2.5, -1.5, -0.5, -0.0, 0.0, 0.5, 1.5, 2.5, -0.75, 1e6, 8388609.0, math.inf, -math.inf)
_ODD: dict[str, OpAttrs] = {
    "sin": Sin(),
    "cos": Cos(),
    "tan": Tan(),
    "atan": Atan(),
    "sinh": Sinh(),
    "cosh": Cosh(),
    "asinh": Asinh(),
    "expm1": Expm1(),
}
_SMALL = (-0.0, 0.0, 1e-6, -1e-6, 1e-3, -2e-4, 3e-5, -7e-5)
_DIVIDING: dict[str, OpAttrs] = {"remainder": Remainder(), "fmod": Fmod(), "floor_divide": FloorDivide()}
_INTEGERS = {"int32": DType.INT32, "int64": DType.INT64}
_ON_INTEGERS: dict[str, OpAttrs] = {**_BINARY, "div": Div(), **_DIVIDING}

CASES = [
    *(OpCase(f"{name}/same_shape", op, (Data((4, 5)), Data((4, 5)))) for name, op in _BINARY.items()),
    *(OpCase(f"{name}/constant_row", op, (Data((4, 5)), Const((5,)))) for name, op in _BINARY.items()),
    *(OpCase(f"{name}/scalar", op, (Data((3, 3, 2)), Const(()))) for name, op in _BINARY.items()),
    *(OpCase(f"{name}/scalar_first", op, (Const(()), Data((3, 3)))) for name, op in _BINARY.items()),
    OpCase("add/channels", Add(), (Data((6, 3, 4)), Const((6, 1, 1)))),
    OpCase("mul/squeeze_excite", Mul(), (Data((6, 3, 4)), Data((6, 1, 1)))),
    OpCase("add/outer", Add(), (Data((4, 1)), Data((1, 5)))),
    OpCase("div/same_shape", Div(), (Data((4, 5)), Data((4, 5), 0.5, 3))),
    OpCase("div/scalar", Div(), (Data((4, 5)), Const((), 0.3, 0.4))),
    OpCase("pow/scalar", Pow(), (Data((4, 5), 0.1, 3), Const((), 1.5, 2.5))),
    OpCase("exp", Exp(), (Data((4, 5)),)),
    OpCase("exp/overflow", Exp(), (Data((4,), values=(-200.0, 0.0, 80.0, 88.0)),)),
    OpCase("log", Log(), (Data((4, 5), 0.01, 9),)),
    OpCase("sqrt", Sqrt(), (Data((4, 5), 0, 9),)),
    OpCase("rsqrt", Rsqrt(), (Data((4, 5), 0.1, 9),)),
    OpCase("neg", Neg(), (Data((4, 5)),)),
    OpCase("abs", Abs(), (Data((4, 5)),)),
    OpCase("erf", Erf(), (Data((4, 5)),)),
    OpCase("identity", Identity(), (Data((4, 5)),)),
    OpCase("cast/int32_to_float32", Cast(DType.FLOAT32), (Data((4, 5), -9, 9, DType.INT32),)),
    OpCase("cast/int64_to_float32", Cast(DType.FLOAT32), (Data((4, 5), -9, 9, DType.INT64),)),
    OpCase("cast/float32_to_int32", Cast(DType.INT32), (Data((4, 5), -9, 9),)),
    *(OpCase(name, op, (Data((4, 5)),)) for name, op in (_ROUNDING | _ODD).items()),
    *(OpCase(f"{name}/halves", op, (Data((13,), values=_HALVES),)) for name, op in _ROUNDING.items()),
    *(OpCase(f"{name}/small", op, (Data((8,), values=_SMALL),)) for name, op in _ODD.items() if name[:3] != "cos"),
    OpCase("sin/many_turns", Sin(), (Data((9,), -3000, 3000),)),
    OpCase("cos/many_turns", Cos(), (Data((9,), -3000, 3000),)),
    OpCase("atan/rank_5", Atan(), (Data((2, 1, 3, 2)),)),
    OpCase("atan/infinite", Atan(), (Data((4,), values=(math.inf, -math.inf, 1e30, 0.0)),)),
    OpCase("asin", Asin(), (Data((4, 5), -1, 1),)),
    OpCase("acos", Acos(), (Data((4, 5), -1, 1),)),
    OpCase("asin/ends", Asin(), (Data((5,), values=(-1.0, 1.0, 0.0, 1e-4, -0.99999)),)),
    OpCase("acos/ends", Acos(), (Data((5,), values=(-1.0, 1.0, 0.0, 1e-4, -0.99999)),)),
    OpCase("sinh/large", Sinh(), (Data((4,), values=(-89.0, 89.0, 80.0, -1.0)),)),
    OpCase("cosh/large", Cosh(), (Data((4,), values=(-89.0, 89.0, 80.0, -1.0)),)),
    OpCase("asinh/large", Asinh(), (Data((4,), values=(1e20, -1e20, 1e6, -3.0)),)),
    OpCase("acosh", Acosh(), (Data((4, 5), 1, 9),)),
    OpCase("acosh/ends", Acosh(), (Data((4,), values=(1.0, 1.0001, 1e20, 3.0)),)),
    OpCase("atanh", Atanh(), (Data((4, 5), -0.99, 0.99),)),
    OpCase("atanh/small", Atanh(), (Data((8,), values=_SMALL),)),
    OpCase("atanh/ends", Atanh(), (Data((3,), values=(-1.0, 1.0, 0.5)),)),
    OpCase("expm1/large", Expm1(), (Data((5,), values=(-200.0, -20.0, 0.0, 10.0, 12.0)),)),
    OpCase("log1p", Log1p(), (Data((4, 5), -0.9, 9),)),
    OpCase("log1p/small", Log1p(), (Data((8,), values=_SMALL),)),
    OpCase("log1p/ends", Log1p(), (Data((4,), values=(-1.0, math.inf, 1e20, 3.0)),)),
    OpCase("atan2", Atan2(), (Data((4, 5)), Data((4, 5)))),
    OpCase("atan2/axes", Atan2(), (Data((3, 1), values=(0.0, 1.0, -1.0)), Data((1, 3), values=(0.0, 1.0, -1.0)))),
    OpCase("atan2/rank_5", Atan2(), (Data((2, 1, 3, 2)), Const((3, 1)))),
    *(OpCase(name, op, (Data((4, 5), -9, 9), Data((4, 5), 0.5, 3))) for name, op in _DIVIDING.items()),
    *(OpCase(f"{name}/below_zero", op, (Data((4, 5), -9, 9), Const((), -2.5, -2.4))) for name, op in _DIVIDING.items()),
    *(OpCase(f"{name}/row", op, (Data((4, 5), -9, 9), Const((5,), 0.5, 3))) for name, op in _DIVIDING.items()),
    *(
        OpCase(f"{name}/{dtype}", op, (Data((4, 5), -20, 20, kind), Data((4, 5), 1, 7, kind)))
        for name, op in _ON_INTEGERS.items()
        for dtype, kind in _INTEGERS.items()
    ),
    *(
        OpCase(f"{name}/int32_below_zero", op, (Data((4, 5), -20, 20, DType.INT32), Data((4, 1), -7, -1, DType.INT32)))
        for name, op in _ON_INTEGERS.items()
    ),
    *(
        OpCase(f"{type(op).name}/{dtype}", op, (Data((4, 5), -9, 9, kind),))
        for op in (Neg(), Abs(), Sign())
        for dtype, kind in _INTEGERS.items()
    ),
    OpCase("pow/cube", Pow(), (Data((4, 5), -3, 3), Const((), 3, 3))),
    OpCase("pow/int32", Pow(), (Data((4, 5), -3, 3, DType.INT32), Data((4, 5), 0, 4, DType.INT32))),
    OpCase("cast/bool_to_float32", Cast(DType.FLOAT32), (Data((4, 5), dtype=DType.BOOL),)),
    OpCase("cast/float32_to_bool", Cast(DType.BOOL), (Data((4,), values=(0.0, -0.0, 0.5, -3.0)),)),
    OpCase("cast/int32_to_bool", Cast(DType.BOOL), (Data((4, 5), -1, 1, DType.INT32),)),
    OpCase("cast/bool_to_int64", Cast(DType.INT64), (Data((4, 5), dtype=DType.BOOL),)),
]
