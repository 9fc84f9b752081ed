"""Fourier transforms as products with cosines and sines; the lengths have to be known.

A product takes n² multiplications where a fast transform takes n log n: for the few hundred samples of a window or the
patches of an image it is as quick, and every port computes it alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph import DType, Value
from ..ops import Add, Conv, MatMul, Slice, Sub, Transpose
from .complex_numbers import Complex, captures_complex, view_as_real
from .context import Context
from .linear import reshaped
from .registry import Converter, captures

Floats = npt.NDArray[np.float64]


@captures("stft")
def stft(
    context: Context,
    x: Value,
    size: int,
    hop: int | None,
    window_size: int | None,
    window: Value | None,
    normalized: bool,
    onesided: bool | None,
    return_complex: bool | None,
    *_: object,
) -> Complex | Value:
    """[batch, samples] → [batch, frequencies, frames]: a convolution with cosines and sines under the window."""
    taps = np.ones(window_size or size, np.float64) if window is None else _constant(context, window, "the window")
    before = (size - len(taps)) // 2
    taps = np.pad(taps, (before, size - len(taps) - before))
    count = size if onesided is False else size // 2 + 1
    cosines, sines = _waves(size, count)
    scale = size**-0.5 if normalized else 1.0
    kernels = np.concatenate([cosines.T * taps * scale, -sines.T * taps * scale]).astype(np.float32)
    step = hop or size // 4
    batch = reshaped(context, x, ((*x.type.shape[:-1], 1) if x.type.rank == 2 else (1, 1)) + (x.type.shape[-1],))
    op = Conv((step,), ((0, 0),), (1,), 1)
    waves = context.add(op, batch, context.constant(kernels[:, np.newaxis, :], "waves"))
    parts = [context.add(Slice((1,), (first,), (first + count,), (1,)), waves) for first in (0, count)]
    if x.type.rank == 1:
        parts = [reshaped(context, part, part.type.shape[1:]) for part in parts]
    y = Complex(*parts)
    return y if return_complex else view_as_real(context, y)


def _constant(context: Context, value: Value, what: str) -> Floats:
    if not value.is_constant:
        raise context.error(
            "TP202", f"{what} is computed from the model's inputs", "compute it from numbers, or hold it"
        )
    return value.array().astype(np.float64)


def _waves(size: int, count: int) -> tuple[Floats, Floats]:
    """cos and sin of 2π j k / size, [size, count], in float64; the angle is reduced before it loses digits."""
    turns = np.outer(np.arange(size), np.arange(count)) % size / size
    return np.cos(2 * np.pi * turns, dtype=np.float64), np.sin(2 * np.pi * turns, dtype=np.float64)


def _norm(size: int, norm: str | None, inverse: bool) -> float:
    if norm == "ortho":
        return float(size**-0.5)
    return 1 / size if ((norm or "backward") == "backward") == inverse else 1.0


def _resized(context: Context, x: Value, axis: int, size: int | None) -> tuple[Value, int]:
    """The first ``size`` cells along an axis, zeros behind where there are fewer; the axis last."""
    order = [a for a in range(x.type.rank) if a != axis] + [axis]
    if order != sorted(order):
        x = context.add(Transpose(tuple(order)), x)
    given = context.static(x.type.shape[-1], "the length of a Fourier transform")
    wanted = given if size is None else size
    if wanted < given:
        x = context.add(Slice((x.type.rank - 1,), (0,), (wanted,), (1,)), x)
    return x, wanted


def _product(context: Context, x: Value, waves: Floats) -> Value:
    """Rows beyond the length of x meet the zeros that it would be padded with."""
    rows = context.static(x.type.shape[-1], "the length of a Fourier transform")
    return context.add(MatMul(), x, context.constant(waves[:rows].astype(np.float32), "waves"))


def _back(context: Context, x: Value, axis: int) -> Value:
    """The last axis at its old place."""
    order = list(range(x.type.rank - 1))
    order.insert(axis, x.type.rank - 1)
    return x if order == sorted(order) else context.add(Transpose(tuple(order)), x)


def _transform(
    context: Context, x: Any, size: int | None, dim: int, norm: str | None, *, inverse: bool, half: bool
) -> Complex:
    """X[k] = Σ x[j] exp(∓2πi jk / n); ``half``: the frequencies up to n / 2 alone."""
    rank = (x.real if isinstance(x, Complex) else x).type.rank
    axis = dim % rank
    parts = [x.real, x.imaginary] if isinstance(x, Complex) else [context.cast(x, DType.FLOAT32)]
    (first, length), *rest = (_resized(context, part, axis, size) for part in parts)
    cosines, sines = _waves(length, length // 2 + 1 if half else length)
    scale = _norm(length, norm, inverse)
    cosines, sines = cosines * scale, (sines if inverse else -sines) * scale
    re, im = _product(context, first, cosines), _product(context, first, sines)
    if rest:
        other = rest[0][0]
        re = context.add(Sub(), re, _product(context, other, sines))
        im = context.add(Add(), im, _product(context, other, cosines))
    return Complex(_back(context, re, axis), _back(context, im, axis))


def _real_inverse(context: Context, x: Any, size: int | None, dim: int, norm: str | None) -> Value:
    """From the frequencies up to n / 2 of a real signal: those between count twice, for themselves and their mirror."""
    parts = [x.real, x.imaginary] if isinstance(x, Complex) else [context.cast(x, DType.FLOAT32)]
    axis = dim % parts[0].type.rank
    length = 2 * (context.static(parts[0].type.shape[axis], "the length of a Fourier transform") - 1)
    length = length if size is None else size
    half = length // 2 + 1
    weights = np.full(half, 2.0)
    weights[0] = 1.0
    if length % 2 == 0:
        weights[-1] = 1.0
    cosines, sines = (waves[:half] * weights[:, np.newaxis] for waves in _waves(length, length))
    scale = _norm(length, norm, inverse=True)
    first, *rest = (_resized(context, part, axis, half)[0] for part in parts)
    y = _product(context, first, cosines * scale)
    if rest:
        y = context.add(Sub(), y, _product(context, rest[0], sines * scale))
    return _back(context, y, axis)


def _over_axes(x: Any, sizes: Sequence[int] | None, dims: Sequence[int] | None) -> list[tuple[int, int | None]]:
    rank = (x.real if isinstance(x, Complex) else x).type.rank
    axes = list(dims) if dims is not None else list(range(rank))[-len(sizes) :] if sizes else list(range(rank))
    lengths: Sequence[int | None] = sizes or [None] * len(axes)
    return list(zip(axes, lengths, strict=True))


def _one_axis(inverse: bool, half: bool) -> Converter:
    def convert(context: Context, x: Any, size: int | None, dim: int, norm: str | None) -> Complex:
        return _transform(context, x, size, dim, norm, inverse=inverse, half=half)

    return convert


def _several_axes(inverse: bool, half: bool) -> Converter:
    """The last axis first, of which a real transform gives the half."""

    def convert(
        context: Context, x: Any, sizes: Sequence[int] | None, dims: Sequence[int] | None, norm: str | None
    ) -> Any:
        *others, (axis, size) = _over_axes(x, sizes, dims)
        y = _transform(context, x, size, axis, norm, inverse=inverse, half=half)
        for axis, size in reversed(others):
            y = _transform(context, y, size, axis, norm, inverse=inverse, half=False)
        return y

    return convert


def _several_axes_to_real(
    context: Context, x: Any, sizes: Sequence[int] | None, dims: Sequence[int] | None, norm: str | None
) -> Value:
    *others, (axis, size) = _over_axes(x, sizes, dims)
    for other, length in others:
        x = _transform(context, x, length, other, norm, inverse=True, half=False)
    return _real_inverse(context, x, size, axis, norm)


for _name, _inverse, _half in (("fft", False, False), ("ifft", True, False), ("rfft", False, True)):
    for _suffix, _make in (("", _one_axis), ("2", _several_axes), ("n", _several_axes)):
        _convert = _make(_inverse, _half)
        captures(f"fft_{_name}{_suffix}")(_convert)
        captures_complex(f"fft_{_name}{_suffix}")(_convert)
captures("fft_irfft")(_real_inverse)
captures_complex("fft_irfft")(_real_inverse)
captures("fft_irfft2", "fft_irfftn")(_several_axes_to_real)
captures_complex("fft_irfft2", "fft_irfftn")(_several_axes_to_real)
