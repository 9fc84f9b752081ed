"""Resampling that no target has a kernel for: along each axis a weighted sum of cells picked by number.

The formulas are torch's (aten/src/ATen/native/UpSample.h): positions from the scale factor where one was given, else
from the sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from ..graph import Value
from ..ops import Add, Gather, MatMul, Mul
from .context import Context
from .phases import Tap, Taps, by_phases, factor_of

Floats = npt.NDArray[np.float32]
CUBIC = -0.75


Filter = Callable[[Floats], Floats]
"""The weight of a cell by its distance, in cells of the coarser grid."""


def resampled(context: Context, x: Value, taps: Taps, scales: Sequence[float | None], align_corners: bool) -> Value:
    """x [N, C, *S] resampled to the shape torch gives the result."""
    for axis, scale in enumerate(scales, start=2):
        wanted = context.result_shape()[axis]
        weighs = taps not in (nearest, nearest_exact)
        factor = None if align_corners else factor_of(x.type.shape[axis], wanted, scale, weighs)
        if factor is not None:
            x = by_phases(context, x, axis, wanted, factor, taps)
            continue
        before, after, step = _step(context, x, axis, scale, align_corners)
        if (before, step) != (after, 1.0):
            x = _along(context, x, axis, taps(before, after, step, align_corners))
    return x


def antialiased(
    context: Context, x: Value, kernel: Filter, reach: float, scales: Sequence[float | None], align_corners: bool
) -> Value:
    """x [N, C, H, W] resampled by a filter over cells of the coarser grid: a product with a matrix along each axis.

    reach   distance from which on the filter is 0
    """
    for axis, scale in enumerate(scales, start=2):
        before, after, step = _step(context, x, axis, scale, align_corners)
        if (before, step) == (after, 1.0):
            continue
        weights = _window_weights(before, after, step, kernel, reach).astype(x.type.dtype.numpy)
        if axis == x.type.rank - 1:
            x = context.add(MatMul(), x, context.constant(weights.T.copy(), "weights"))
        else:
            x = context.add(MatMul(), context.constant(weights, "weights"), x)
    return x


def _step(context: Context, x: Value, axis: int, scale: float | None, align_corners: bool) -> tuple[int, int, float]:
    """Cells before, cells after and step from cell to cell of an axis."""
    before = context.static(x.type.shape[axis], f"resampling over axis {axis}")
    after = context.static(context.result_shape()[axis], f"resampling over axis {axis}")
    if align_corners:
        return before, after, (before - 1) / (after - 1) if after > 1 else 0.0
    return before, after, 1 / scale if scale else before / after


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


def triangle(x: Floats) -> Floats:
    """1 - |x|, for distances below 1."""
    weights: Floats = np.maximum(1 - np.abs(x), 0).astype(np.float32)
    return weights


def keys_of_a_half(x: Floats) -> Floats:
    """The cubic kernel with a = -0.5, for distances below 2."""
    distance = np.abs(x)
    return np.where(distance < 2, _keys(distance, -0.5), 0).astype(np.float32)


def _keys(x: Floats, a: float = CUBIC) -> Floats:
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, far).astype(np.float32)


def _window_weights(before: int, after: int, step: float, kernel: Filter, reach: float) -> Floats:
    """[after, before]: each row sums to 1 over the cells whose centres the window covers."""
    width = np.float32(max(step, 1.0))
    centres = (np.float32(step) * (np.arange(after, dtype=np.float32) + np.float32(0.5)))[:, None]
    support = np.float32(reach) * width
    first = np.maximum((centres - support + np.float32(0.5)).astype(np.int64), 0)
    last = np.minimum((centres + support + np.float32(0.5)).astype(np.int64), before)
    cells = np.arange(before)
    weights = kernel((cells - centres + np.float32(0.5)) / width) * ((first <= cells) & (cells < last))
    shares: Floats = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return shares


def _positions(after: int, step: float, align_corners: bool) -> Floats:
    cells = np.arange(after, dtype=np.float32)
    if align_corners:
        return cells * np.float32(step)
    return np.float32(step) * (cells + np.float32(0.5)) - np.float32(0.5)


def _floor(at: Floats, before: int) -> npt.NDArray[np.int64]:
    return np.minimum(np.floor(at).astype(np.int64), before - 1)
