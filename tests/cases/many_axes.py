"""More axes than kernels walk: six and seven of them, as attention within windows and video networks have."""

from __future__ import annotations

from triport.exporter.graph import DType
from triport.exporter.ops import (
    Add,
    BorderMode,
    BorderPad,
    Div,
    Equal,
    Expand,
    FloorDivide,
    Fmod,
    Less,
    LogicalAnd,
    Maximum,
    Mul,
    OpAttrs,
    Pad,
    Pow,
    Remainder,
    Reverse,
    Slice,
    Transpose,
    Where,
)

from .case import BATCH, Data, OpCase

SIX = (2, 3, 2, 3, 2)
"""Behind the batch."""
_CHANNELS = (2, 1, 1, 1, 1)
_CELLWISE: dict[str, OpAttrs] = {
    "add": Add(),
    "mul": Mul(),
    "div": Div(),
    "maximum": Maximum(),
    "less": Less(),
    "remainder": Remainder(),
    "fmod": Fmod(),
}
_NUMBERS = (DType.INT32, DType.INT64)

CASES = [
    *(OpCase(f"{name}/six_axes", op, (Data(SIX), Data(_CHANNELS, 1, 3))) for name, op in _CELLWISE.items()),
    *(OpCase(f"{name}/six_axes_like", op, (Data(SIX), Data(SIX, 1, 3))) for name, op in _CELLWISE.items()),
    *(
        OpCase(
            f"floor_divide/six_axes_{dtype.value}",
            FloorDivide(),
            (Data(SIX, -9, 9, dtype), Data(_CHANNELS, 1, 4, dtype)),
        )
        for dtype in _NUMBERS
    ),
    OpCase("equal/six_axes", Equal(), (Data(SIX, -1, 1, DType.INT32), Data(_CHANNELS, -1, 1, DType.INT32))),
    OpCase("logical_and/six_axes", LogicalAnd(), (Data(SIX, dtype=DType.BOOL), Data(_CHANNELS, dtype=DType.BOOL))),
    OpCase("pow/six_axes", Pow(), (Data(SIX, 0.1, 3), Data((2, 3, 1, 1, 1), -2, 2))),
    OpCase("where/six_axes", Where(), (Data((1, 1, 2, 3, 2), dtype=DType.BOOL), Data(SIX), Data(_CHANNELS))),
    OpCase("transpose/seven_axes", Transpose((0, 5, 6, 1, 2, 3, 4)), (Data((2, 3, 2, 2, 3, 2)),)),
    OpCase("pad/six_axes", Pad((0, 0, 0, 1, 0, 2), (0, 0, 0, 0, 0, 1), 0.5), (Data(SIX),)),
    OpCase("slice/six_axes", Slice((0, 4), (0, 1), (BATCH, 3), (1, 1)), (Data(SIX),)),
    OpCase("border_pad/six_axes", BorderPad((0, 0, 0, 1, 0, 0), (0, 0, 0, 0, 0, 1), BorderMode.REFLECT), (Data(SIX),)),
    OpCase("reverse/eight_axes", Reverse((-2, 2)), (Data((2, 1, 2, 2, 1, 2, 2)),)),
    OpCase("expand/eight_axes", Expand((BATCH, 2, 3, 2, 2, 2, 3, 2)), (Data((2, 3, 1, 1, 2, 3, 2)),)),
]
