"""Where in the image the maximum of each window stands, as torch's pools return it with ``return_indices``.

One axis after the other, from the last: along an axis the windows' first cells are compared with their second cells,
the winners with their third, and so on. Cells are compared in torch's order, so of equal cells the first wins, and of
several NaNs the last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..graph import Value
from ..ops import Expand, Gather, Greater, LogicalOr, NotEqual, Reshape, Where
from .context import Context
from .spatial import as_batch

Windows = Sequence[Sequence[int]]
"""The cells of each window along one axis, in order."""


def positions_of_maxima(context: Context, x: Value, windows: Sequence[Windows | None]) -> Value | None:
    """x [N, C, *S] or [C, *S]  →  int64 [N, C, *S'], positions in an image's cells counted row by row.

    None where the size of the image is free, which its positions depend on.
    """
    rank = len(windows)
    sizes = x.type.shape[-rank:]
    if not all(isinstance(size, int) for size in sizes) or any(axis is None or not axis for axis in windows):
        return None
    static = x.type.with_shape(sizes).static_shape()
    best = as_batch(context, x) if x.type.rank == rank + 1 else x
    at = context.constant(np.arange(math.prod(static), dtype=np.int64).reshape(1, 1, *static), "positions")
    for axis in reversed(range(rank)):
        along = windows[axis]
        assert along is not None, "checked above"
        best, at = _best_along(context, best, at, along, 2 + axis)
    at = at if at.type.shape == best.type.shape else context.add(Expand(best.type.shape), at)
    return at if x.type.rank == rank + 2 else context.add(Reshape(at.type.shape[1:]), at)


def _best_along(context: Context, x: Value, at: Value, windows: Windows, axis: int) -> tuple[Value, Value]:
    """Winners of windows along one axis, and where they stood. A window that is short repeats its last cell."""
    best: tuple[Value, Value] | None = None
    for tap in range(max(map(len, windows))):
        cells = context.constant(np.array([w[min(tap, len(w) - 1)] for w in windows], np.int64), "cells")
        value, position = (context.add(Gather(axis), operand, cells) for operand in (x, at))
        if best is None:
            best = value, position
            continue
        nan = context.add(NotEqual(), value, value)
        wins = context.add(LogicalOr(), context.add(Greater(), value, best[0]), nan)
        best = context.add(Where(), wins, value, best[0]), context.add(Where(), wins, position, best[1])
    assert best is not None, "a window has a cell"
    return best
