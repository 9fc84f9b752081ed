"""Adaptive pooling: the input cut into a given number of windows, whose sizes may differ by one."""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

from ..graph import Dim, Value
from ..ops import AveragePool, Concat, MaxPool, ReduceMax, ReduceMean, Slice
from .context import Context
from .pool_indices import Windows

N = TypeVar("N", int, Dim)


class Part(Enum):
    """What stands for a window."""

    MEAN = "mean"
    MAXIMUM = "maximum"


def adaptive_windows(size: Dim, wanted: Dim) -> Windows | None:
    """The cells of each window: from floor(i * S / S') to ceil((i + 1) * S / S'); None where a size is free."""
    if not isinstance(size, int) or not isinstance(wanted, int):
        return None
    return [list(range(start, stop)) for start, stop in _bounds(size, wanted)]


def _bounds(size: N, wanted: int) -> list[tuple[N, N]]:
    """First cell and the one after the last of each window."""
    return [(i * size // wanted, ((i + 1) * size + wanted - 1) // wanted) for i in range(wanted)]


def adaptive_pool(context: Context, x: Value, wanted: tuple[Dim, ...], part: Part) -> Value:
    """x [N, C, *S]  →  [N, C, *wanted]: one op where all windows of an axis are alike, else a slice for each window."""
    reduce, pool = (ReduceMean, AveragePool) if part is Part.MEAN else (ReduceMax, MaxPool)
    rank = len(wanted)
    axes = [2 + i for i in range(rank) if wanted[i] == 1 and x.type.shape[2 + i] != 1]
    if axes:
        x = context.add(reduce(tuple(axes), True), x)
    equal = [_equal_window(size, count) for size, count in zip(x.type.shape[2:], wanted, strict=True)]
    kernel = tuple(window or 1 for window in equal)
    if any(window != 1 for window in kernel):
        x = context.add(pool(kernel, kernel, ((0, 0),) * rank, (1,) * rank), x)
    for axis, (window, count) in enumerate(zip(equal, wanted, strict=True), start=2):
        if window is not None:
            continue
        bounds = _bounds(x.type.shape[axis], context.static(count, "the size that is pooled to"))
        cuts = [context.add(Slice((axis,), (start,), (stop,), (1,)), x) for start, stop in bounds]
        x = context.add(Concat(axis), *(context.add(reduce((axis,), True), cut) for cut in cuts))
    return x


def _equal_window(size: Dim, count: Dim) -> int | None:
    """Cells in each of ``count`` windows; None where they are not alike or not known."""
    if size == count:
        return 1
    if isinstance(size, int) and isinstance(count, int) and count and size % count == 0:
        return size // count
    return None
