"""ATen ops whose cells depend on all cells before them, beside running sums: the running extremes and logsumexp.

After step k each cell stands for the 2^k cells that end with it; log2(n) steps reach the first one.
"""

from __future__ import annotations

import math

import numpy as np

from ..graph import DType, Value
from ..ops import GreaterEqual, LessEqual, Maximum, Minimum, OpAttrs, Pad, Slice, Where
from .context import Context
from .elementwise import log_add_exp
from .index import expanded
from .registry import captures


def _earlier(context: Context, x: Value, axis: int, steps: int, before: float) -> Value:
    """The cell ``steps`` before each; ``before`` where there is none."""
    sides = tuple(steps if a == axis else 0 for a in range(x.type.rank))
    size = context.static(x.type.shape[axis], "the axis of a running value")
    kept = context.add(Slice((axis,), (0,), (size - steps,), (1,)), x)
    return context.add(Pad(sides, (0,) * x.type.rank, before), kept)


def _doublings(context: Context, x: Value, axis: int) -> list[int]:
    size = context.static(x.type.shape[axis], "the axis of a running value")
    return [2**k for k in range(max(size - 1, 0).bit_length())]


def _extreme(
    context: Context, x: Value, axis: int, reaches: type[OpAttrs], extreme: type[OpAttrs], before: float
) -> tuple[Value, Value]:
    """Values and positions: the last one among equals, as in torch."""
    if not x.type.dtype.is_float:
        raise context.error("TP202", "a running extreme of integers has no meaning here", "take it of x.float()")
    if not x.type.rank:
        return x, context.scalar(0, DType.INT64)
    axis %= x.type.rank
    size = context.static(x.type.shape[axis], "the axis of a running value")
    line = np.arange(size, dtype=np.int64).reshape([size if a == axis else 1 for a in range(x.type.rank)])
    positions = expanded(context, context.constant(line), x.type.shape)
    for steps in _doublings(context, x, axis):
        other, place = _earlier(context, x, axis, steps, before), _earlier(context, positions, axis, steps, 0)
        stays = context.add(reaches(), x, other)
        positions = context.add(Where(), stays, positions, place)
        x = context.add(extreme(), x, other)
    return x, positions


@captures("cummax")
def cummax(context: Context, x: Value, axis: int) -> tuple[Value, Value]:
    return _extreme(context, x, axis, GreaterEqual, Maximum, -math.inf)


@captures("cummin")
def cummin(context: Context, x: Value, axis: int) -> tuple[Value, Value]:
    return _extreme(context, x, axis, LessEqual, Minimum, math.inf)


@captures("logcumsumexp")
def logcumsumexp(context: Context, x: Value, axis: int) -> Value:
    if not x.type.rank:
        return x
    axis %= x.type.rank
    for steps in _doublings(context, x, axis):
        x = log_add_exp(context, x, _earlier(context, x, axis, steps, -math.inf))
    return x
