"""Resampling that no target has a kernel for: along each axis a weighted sum of cells picked by number.

The formulas are torch's (aten/src/ATen/native/UpSample.h): positions from the scale factor where one was given, else
from the sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ..graph import Value
from ..ops import Add, Gather, Mul
from .context import Context

Floats = npt.NDArray[np.float32]
Tap = tuple[npt.NDArray[np.int64], Floats | None]
"""For each cell of the result the number of a cell, and its weight; None stands for weights of 1."""

Taps = Callable[[int, int, float, bool], Sequence[Tap]]
"""(cells before, cells after, step from cell to cell, align_corners) → taps"""

CUBIC = -0.75


def resampled(context: Context, x: Value, taps: Taps, scales: Sequence[float | None], align_corners: bool) -> Value:
    """x [N, C, *S] resampled to the shape torch gives the result."""
    for axis, scale in enumerate(scales, start=2):
        before = context.static(x.type.shape[axis], f"resampling over axis {axis}")
        after = context.static(context.result_shape()[axis], f"resampling over axis {axis}")
        if align_corners:
            step = (before - 1) / (after - 1) if after > 1 else 0.0
        else:
            step = 1 / scale if scale else before / after
        if (before, step) != (after, 1.0):
            x = _along(context, x, axis, taps(before, after, step, align_corners))
    return x


def _along(context: Context, x: Value, axis: int, taps: Sequence[Tap]) -> Value:
    y: Value | None = None
    for cells, weights in taps:
        part = context.add(Gather(axis), x, context.constant(cells, "cells"))
        if weights is not None:
            shape = [1] * x.type.rank
            shape[axis] = -1
            factor = context.constant(weights.reshape(shape).astype(x.type.dtype.numpy), "weights")
            part = context.add(Mul(), part, factor)
        y = part if y is None else context.add(Add(), y, part)
    assert y is not None, "there is a tap"
    return y


def nearest(before: int, after: int, step: float, align_corners: bool) -> Sequence[Tap]:
    """Cell floor(i * step)"""
    return [(_floor(np.arange(after, dtype=np.float32) * np.float32(step), before), None)]


def nearest_exact(before: int, after: int, step: float, align_corners: bool) -> Sequence[Tap]:
    """Cell floor((i + 0.5) * step)"""
    at = (np.arange(after, dtype=np.float32) + np.float32(0.5)) * np.float32(step)
    return [(_floor(at, before), None)]


def linear(before: int, after: int, step: float, align_corners: bool) -> Sequence[Tap]:
    """Two neighbours by distance; torch copies an axis that keeps its size, whatever the factor."""
    if before == after:
        return [(np.arange(after), None)]
    at = np.maximum(_positions(after, step, align_corners), np.float32(0))
    first = _floor(at, before)
    share = np.minimum(at - first, 1).astype(np.float32)
    return [(first, 1 - share), (np.minimum(first + 1, before - 1), share)]


def cubic(before: int, after: int, step: float, align_corners: bool) -> Sequence[Tap]:
    """Four taps of the cubic convolution kernel (Keys 1981, a = -0.75); those beyond the border are the border's."""
    at = _positions(after, step, align_corners)
    first = np.floor(at)
    taps = []
    for offset in (-1, 0, 1, 2):
        distance = np.abs(at - first - offset)
        cells = np.clip(first.astype(np.int64) + offset, 0, before - 1)
        taps.append((cells, _keys(distance).astype(np.float32)))
    return taps


def _keys(x: Floats) -> Floats:
    near = ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1
    far = ((CUBIC * x - 5 * CUBIC) * x + 8 * CUBIC) * x - 4 * CUBIC
    return np.where(x <= 1, near, far).astype(np.float32)


def _positions(after: int, step: float, align_corners: bool) -> Floats:
    cells = np.arange(after, dtype=np.float32)
    if align_corners:
        return cells * np.float32(step)
    return np.float32(step) * (cells + np.float32(0.5)) - np.float32(0.5)


def _floor(at: Floats, before: int) -> npt.NDArray[np.int64]:
    return np.minimum(np.floor(at).astype(np.int64), before - 1)
