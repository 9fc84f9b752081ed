"""Resampling of an axis of free size by a factor p / q: every p-th cell of the result has the same taps.

    y[p*m + r] = sum over taps of weight[r] * x[q*m + offset[r]]

So each of the p phases is a weighted sum of strided slices of x, whose border cells are repeated beyond it, and the
phases take turns in the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ..graph import Dim, Value
from ..graph.dims import exact_quotient
from ..ops import Add, BorderMode, BorderPad, Concat, Mul, Reshape, Slice
from .context import Context

MOST_PHASES = 8
"""Larger numerators and denominators would take more operators than resampling is worth."""

_PERIODS = 16
"""Periods of the example that taps are read off: far from both borders in its middle."""

Tap = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32] | None]
"""For each cell of the result the number of a cell, and its weight; None stands for weights of 1."""

Taps = Callable[[int, int, float, bool], Sequence[Tap]]
"""(cells before, cells after, step from cell to cell, align_corners) → taps"""


def factor_of(before: Dim, after: Dim, scale: float | None, weighs: bool) -> Fraction | None:
    """The factor an axis is resampled by, where its size is free and the factor has few phases; else None.

    weighs   cells are weighed by their position, which torch computes in float32: it has to come out exactly. For
             cells that are only picked it may come out a little too large, but not too small.
    """
    whole = exact_quotient(after, before)
    given = Fraction(scale) if scale else Fraction(whole) if isinstance(whole, int) else None
    if isinstance(before, int) or given is None or max(given.numerator, given.denominator) > MOST_PHASES:
        return None
    step = Fraction(float(np.float32(1 / given)))
    return given if step == 1 / given or (step > 1 / given and not weighs) else None


def by_phases(context: Context, x: Value, axis: int, after: Dim, factor: Fraction, taps: Taps) -> Value:
    """x with ``after`` cells along an axis."""
    p, q = factor.numerator, factor.denominator
    example = taps(q * _PERIODS, p * _PERIODS, q / p, False)
    middle = slice(p * (_PERIODS // 2), p * (_PERIODS // 2 + 1))
    offsets = [cells[middle] - q * (_PERIODS // 2) for cells, _ in example]
    shares = [None if weights is None else weights[middle] for _, weights in example]
    first, last = (int(limit([limit(row) for row in offsets])) for limit in (min, max))
    reach = max(-first, 0)
    wide = _repeated(context, x, axis, reach, max(last, 0))
    count = (after + p - 1) // p
    lines: dict[int, Value] = {}
    phases = []
    for r in range(p):
        y: Value | None = None
        for row, weights in zip(offsets, shares, strict=True):
            start = reach + int(row[r])
            if start not in lines:
                lines[start] = context.add(Slice((axis,), (start,), (start + q * (count - 1) + 1,), (q,)), wide)
            part = lines[start]
            if weights is not None:
                part = context.add(Mul(), part, context.scalar(float(weights[r]), x.type.dtype))
            y = part if y is None else context.add(Add(), y, part)
        assert y is not None, "there is a tap"
        phases.append(y)
    return _in_turn(context, phases, axis, after)


def _repeated(context: Context, x: Value, axis: int, before: int, after: int) -> Value:
    """x with its border cells repeated along an axis."""
    if not before and not after:
        return x
    none = [0] * x.type.rank
    sides = (*none[:axis], before, *none[axis + 1 :]), (*none[:axis], after, *none[axis + 1 :])
    return context.add(BorderPad(*sides, BorderMode.REPLICATE), x)


def _in_turn(context: Context, phases: Sequence[Value], axis: int, after: Dim) -> Value:
    """The first ``after`` of the cells of all phases: the first of each, the second of each …"""
    front, (count, *back) = phases[0].type.shape[:axis], phases[0].type.shape[axis:]
    if len(phases) == 1:
        return phases[0]
    columns = [context.add(Reshape((*front, count, 1, *back)), phase) for phase in phases]
    total = count * len(phases)
    y = context.add(Reshape((*front, total, *back)), context.add(Concat(axis + 1), *columns))
    return y if total == after else context.add(Slice((axis,), (0,), (after,), (1,)), y)
