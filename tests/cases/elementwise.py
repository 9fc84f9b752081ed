from __future__ import annotations

from triport.exporter.graph import DType
from triport.exporter.ops import (
    Abs,
    Add,
    Cast,
    Div,
    Erf,
    Exp,
    Identity,
    Log,
    Maximum,
    Minimum,
    Mul,
    Neg,
    OpAttrs,
    Pow,
    Rsqrt,
    Sqrt,
    Sub,
)

from .case import Const, Data, OpCase

_BINARY: dict[str, OpAttrs] = {
    "add": Add(),
    "sub": Sub(),
    "mul": Mul(),
    "maximum": Maximum(),
    "minimum": Minimum(),
}

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
]
