"""ATen pooling, with ceil_mode spelled out as padding."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph import Value
from ..ops import AveragePool, MaxPool, ReduceMax, ReduceMean
from ..ops.conv import Padding
from .context import Context, spread
from .registry import captures


def _sides(
    context: Context,
    x: Value,
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
            size = context.static(x.type.shape[2 + i], f"ceil_mode over axis {2 + i}")
            window = dilation[i] * (kernel[i] - 1) + 1
            count = -(-(size + 2 * before - window) // stride[i]) + 1
            if (count - 1) * stride[i] >= size + before:
                count -= 1
            after = max((count - 1) * stride[i] + window - size - before, before)
        sides.append((before, after))
    return tuple(sides)


@captures("max_pool1d", "max_pool2d", "max_pool3d")
def max_pool(
    context: Context,
    x: Value,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> Value:
    rank = x.type.rank - 2
    kernel, dilations = spread(kernel_size, rank), spread(dilation, rank)
    strides = spread(stride or kernel_size, rank)
    sides = _sides(context, x, kernel, strides, spread(padding, rank), dilations, ceil_mode)
    return context.add(MaxPool(kernel, strides, sides, dilations), x)


@captures("avg_pool1d", "avg_pool2d", "avg_pool3d")
def average_pool(
    context: Context,
    x: Value,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None = None,
) -> Value:
    rank = x.type.rank - 2
    kernel = spread(kernel_size, rank)
    strides = spread(stride or kernel_size, rank)
    pads = spread(padding, rank)
    sides = _sides(context, x, kernel, strides, pads, (1,) * rank, ceil_mode)
    hangs_over = any(after > before for before, after in sides)
    if divisor_override is not None or (count_include_pad and hangs_over and any(pads)):
        raise context.error(
            "TP202",
            "average pooling with divisor_override, or with ceil_mode over counted padding, has no meaning here",
            "leave divisor_override out, or set count_include_pad=False",
        )
    counted = count_include_pad and not hangs_over
    return context.add(AveragePool(kernel, strides, sides, (1,) * rank, count_include_pad=counted), x)


@captures("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d")
def adaptive_average_pool(context: Context, x: Value, output_size: Sequence[int]) -> Value:
    if all(size == 1 for size in output_size):
        return context.add(ReduceMean(tuple(range(2, x.type.rank)), True), x)
    kernel = _adaptive_kernel(context, x, output_size)
    return context.add(AveragePool(kernel, kernel, ((0, 0),) * len(kernel), (1,) * len(kernel)), x)


@captures("adaptive_max_pool2d")
def adaptive_max_pool(context: Context, x: Value, output_size: Sequence[int]) -> tuple[Value, None]:
    if all(size == 1 for size in output_size):
        return context.add(ReduceMax(tuple(range(2, x.type.rank)), True), x), None
    kernel = _adaptive_kernel(context, x, output_size)
    return context.add(MaxPool(kernel, kernel, ((0, 0),) * len(kernel), (1,) * len(kernel)), x), None


def _adaptive_kernel(context: Context, x: Value, output_size: Sequence[int]) -> tuple[int, ...]:
    """The window of a pool that cuts each axis into ``output_size`` equal parts."""
    kernel = []
    for axis, size in enumerate(output_size, start=2):
        given = context.static(x.type.shape[axis], f"adaptive pooling over axis {axis}")
        if given % size:
            raise context.error(
                "TP202",
                f"adaptive pooling from {given} to {size} cells has windows of unequal size",
                f"pool to a size that divides {given}, or resize the input",
            )
        kernel.append(given // size)
    return tuple(kernel)
