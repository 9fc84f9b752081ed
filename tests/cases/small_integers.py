"""Eight-bit integers, as images and masks have: kernels take them rarely, so they are computed in int32 and wrap."""

from __future__ import annotations

from triport.exporter.graph import DType
from triport.exporter.ops import (
    Add,
    BitwiseAnd,
    BitwiseXor,
    Cast,
    Equal,
    FloorDivide,
    Fmod,
    Greater,
    Less,
    Maximum,
    Minimum,
    Mul,
    Neg,
    OpAttrs,
    Remainder,
    Sub,
    Where,
)

from .case import Data, OpCase

_BYTES = (DType.INT8, DType.UINT8)
_PAIRS: dict[str, OpAttrs] = {
    "add": Add(),
    "sub": Sub(),
    "mul": Mul(),
    "floor_divide": FloorDivide(),
    "remainder": Remainder(),
    "fmod": Fmod(),
    "maximum": Maximum(),
    "minimum": Minimum(),
    "less": Less(),
    "greater": Greater(),
    "equal": Equal(),
    "bitwise_and": BitwiseAnd(),
    "bitwise_xor": BitwiseXor(),
}
_CASTS = [
    *((a, b) for a in (*_BYTES, DType.FLOAT32, DType.BOOL) for b in _BYTES if a is not b),
    *((a, DType.BOOL) for a in _BYTES),
]


def _pair(dtype: DType) -> tuple[Data, Data]:
    low = -100 if dtype is DType.INT8 else 0
    return Data((4, 5), low, 110, dtype), Data((1, 5), 1, 90, dtype)


CASES = [
    *(OpCase(f"{name}/{dtype.value}", op, _pair(dtype)) for name, op in _PAIRS.items() for dtype in _BYTES),
    *(
        OpCase(f"where/{dtype.value}_choice", Where(), (Data((4, 5), dtype=DType.BOOL), *_pair(dtype)))
        for dtype in _BYTES
    ),
    OpCase("neg/int8", Neg(), (Data((4, 5), -128, 127, DType.INT8),)),
    *(OpCase(f"cast/{a.value}_to_{b.value}", Cast(b), (Data((4, 5), 0, 90, a),)) for a, b in _CASTS),
]
