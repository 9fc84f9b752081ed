"""ATen pooling, with ceil_mode spelled out as padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..graph import Dim, Value
from ..ops import AveragePool, MaxPool, Mul, Pad
from ..ops.conv import Padding
from .adaptive_pool import Part, adaptive_pool, adaptive_windows
from .context import Context, spread
from .pool_indices import Windows, positions_of_maxima
from .recurrent_calls import NAMESPACE
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
    """Padding before and after; with ceil_mode the last window may hang over the end, if it starts inside.

    A window hangs over by less than a stride, and by less than itself: with as much padding no window is missing,
    whatever the size. Where the size is known, so is how much of that is reached.
    """
    sides = []
    for i, (size, before) in enumerate(zip(sizes, padding, strict=True)):
        after = before
        if ceil_mode:
            window = dilation[i] * (kernel[i] - 1) + 1
            after = min(before + stride[i] - 1, window - 1)
            if isinstance(size, int):
                after = max(after - (size + before + after - window) % stride[i], before)
            elif before + stride[i] > window:  # torch has settled this for the size of the example
                raise context.error(
                    "TP203",
                    f"with ceil_mode, a window of {window}, stride {stride[i]} and padding {before} the free dimension "
                    f"{size} decides whether the last window is left out",
                    "take a stride no longer than the window less its padding, or ceil_mode=False",
                )
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
    """What torch divides by, where it is not what `AveragePool` divides by, is said with a Pad or put right behind."""
    kernel = spread(kernel_size, rank)
    strides, pads = spread(stride or kernel_size, rank), spread(padding, rank)
    sides = _sides(context, x.type.shape[-rank:], kernel, strides, pads, (1,) * rank, ceil_mode)
    hangs_over = any(after > before for before, after in sides)
    counted = divisor_override is not None or count_include_pad

    def compute(batch: Value) -> Value:
        around, divided = sides, counted
        if counted and hangs_over and divisor_override is None:
            # The padding counts as zeros, what a window hangs over beyond it does not count.
            if any(pads):
                batch = context.add(Pad((0, 0, *pads), (0, 0, *pads)), batch)
            around, divided = tuple((0, after - before) for before, after in sides), False
        y = context.add(AveragePool(kernel, strides, around, (1,) * rank, count_include_pad=divided), batch)
        if divisor_override is None:
            return y
        factor = np.asarray(math.prod(kernel) / divisor_override, x.type.dtype.numpy)
        return context.add(Mul(), y, context.constant(factor, "window over divisor"))

    return per_image(context, x, rank, compute)


def _register(rank: int) -> None:
    @captures(f"max_pool{rank}d", f"{NAMESPACE}.max_pool{rank}d")
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

    @captures(f"adaptive_avg_pool{rank}d", f"_adaptive_avg_pool{rank}d")
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
