"""ATen pooling, with ceil_mode spelled out as padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..graph import Array, Dim, Value
from ..ops import AveragePool, MaxPool, Mul
from ..ops.conv import Padding
from .adaptive_pool import Part, adaptive_pool, adaptive_windows
from .context import Context, spread
from .pool_indices import Windows, positions_of_maxima
from .registry import captures
from .spatial import per_image


def _sides(
    context: Context,
    sizes: Sequence[Dim],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
) -> Padding:
    """Padding before and after; with ceil_mode the last window may hang over the end, if it starts inside."""
    sides = []
    for i, before in enumerate(padding):
        after = before
        if ceil_mode:
            size = context.static(sizes[i], f"ceil_mode over axis {2 + i}")
            window = dilation[i] * (kernel[i] - 1) + 1
            count = -(-(size + 2 * before - window) // stride[i]) + 1
            if (count - 1) * stride[i] >= size + before:
                count -= 1
            after = max((count - 1) * stride[i] + window - size - before, before)
        sides.append((before, after))
    return tuple(sides)


def _max_pool(
    context: Context,
    x: Value,
    rank: int,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> MaxPool:
    kernel, dilations = spread(kernel_size, rank), spread(dilation, rank)
    strides = spread(stride or kernel_size, rank)
    sides = _sides(context, x.type.shape[-rank:], kernel, strides, spread(padding, rank), dilations, ceil_mode)
    return MaxPool(kernel, strides, sides, dilations)


def _average_pool(
    context: Context,
    x: Value,
    rank: int,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None = None,
) -> Value:
    """What torch divides by, where it is not what `AveragePool` divides by, is put right by a factor behind it."""
    kernel = spread(kernel_size, rank)
    strides, pads = spread(stride or kernel_size, rank), spread(padding, rank)
    sizes = x.type.shape[-rank:]
    sides = _sides(context, sizes, kernel, strides, pads, (1,) * rank, ceil_mode)
    hangs_over = any(after > before for before, after in sides)
    factors: Array | None = None
    counted = count_include_pad and (any(pads) or not hangs_over)
    if divisor_override is not None:
        counted, factors = True, np.asarray(math.prod(kernel) / divisor_override)
    elif counted and hangs_over:
        factors = _padding_but_no_more(context, sizes, AveragePool(kernel, strides, sides, (1,) * rank))
    op = AveragePool(kernel, strides, sides, (1,) * rank, count_include_pad=counted)

    def compute(batch: Value) -> Value:
        y = context.add(op, batch)
        if factors is None:
            return y
        return context.add(Mul(), y, context.constant(factors.astype(x.type.dtype.numpy), "window over divisor"))

    return per_image(context, x, rank, compute)


def _padding_but_no_more(context: Context, sizes: Sequence[Dim], op: AveragePool) -> Array:
    """Cells of a window over those that lie within the image and its padding before and (again) after: [*S']."""
    factors = np.ones(())
    for i, dim in enumerate(sizes):
        size, (before, after) = context.static(dim, "ceil_mode"), op.padding[i]
        count = (size + before + after - op.kernel[i]) // op.stride[i] + 1
        first = np.arange(count) * op.stride[i]
        cells = np.minimum(first + op.kernel[i], size + 2 * before) - first
        factors = np.multiply.outer(factors, op.kernel[i] / cells)
    return factors


def _register(rank: int) -> None:
    @captures(f"max_pool{rank}d")
    def max_pool(context: Context, x: Value, *window: Any) -> Value:
        op = _max_pool(context, x, rank, *window)
        return per_image(context, x, rank, lambda batch: context.add(op, batch))

    @captures(f"max_pool{rank}d_with_indices")
    def max_pool_with_indices(context: Context, x: Value, *window: Any) -> tuple[Value, Value | None]:
        op = _max_pool(context, x, rank, *window)
        y = per_image(context, x, rank, lambda batch: context.add(op, batch))
        return y, positions_of_maxima(context, x, [_windows_of(op, i, x) for i in range(rank)])

    @captures(f"avg_pool{rank}d")
    def average_pool(context: Context, x: Value, *window: Any) -> Value:
        if x.type.elements == 0:
            # LiteRT's kernels make up a shape for the mean of nothing.
            return context.constant(np.zeros(x.type.with_shape(context.result_shape()).static_shape(), np.float32))
        return _average_pool(context, x, rank, *window)

    @captures(f"adaptive_avg_pool{rank}d")
    def adaptive_average_pool(context: Context, x: Value, output_size: Sequence[Dim]) -> Value:
        sizes = spread_dims(output_size, rank)
        return per_image(context, x, rank, lambda batch: adaptive_pool(context, batch, sizes, Part.MEAN))

    @captures(f"adaptive_max_pool{rank}d")
    def adaptive_max_pool(context: Context, x: Value, output_size: Sequence[Dim]) -> tuple[Value, Value | None]:
        sizes = spread_dims(output_size, rank)
        y = per_image(context, x, rank, lambda batch: adaptive_pool(context, batch, sizes, Part.MAXIMUM))
        windows = [adaptive_windows(size, wanted) for size, wanted in zip(x.type.shape[-rank:], sizes, strict=True)]
        return y, positions_of_maxima(context, x, windows)


def spread_dims(sizes: Sequence[Dim], rank: int) -> tuple[Dim, ...]:
    """A list of one or rank sizes as a tuple of ``rank``."""
    return tuple(sizes) * rank if len(sizes) == 1 else tuple(sizes)


def _windows_of(op: MaxPool, i: int, x: Value) -> Windows | None:
    """The cells of each window along one axis that lie inside the image."""
    size = x.type.shape[x.type.rank - len(op.kernel) + i]
    if not isinstance(size, int):
        return None
    before, after = op.padding[i]
    count = (size + before + after - op.dilation[i] * (op.kernel[i] - 1) - 1) // op.stride[i] + 1
    taps = [range(k * op.stride[i] - before, size, op.dilation[i])[: op.kernel[i]] for k in range(count)]
    return [[cell for cell in tap if cell >= 0] for tap in taps]


for _rank in (1, 2, 3):
    _register(_rank)
