"""ATen convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph import Value
from ..ops import Conv, ConvTranspose
from ..ops.conv import Padding
from .context import Context, spread
from .registry import captures
from .spatial import per_image


def _operands(x: Value, weight: Value, bias: Value | None) -> tuple[Value, ...]:
    return (x, weight) if bias is None else (x, weight, bias)


@captures("conv1d", "conv2d", "conv3d")
def conv(
    context: Context,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int] | str,
    dilation: Sequence[int],
    groups: int,
) -> Value:
    rank = weight.type.rank - 2
    strides, dilations = spread(stride, rank), spread(dilation, rank)
    sides: Padding
    if isinstance(padding, str):
        totals = [d * (k - 1) for d, k in zip(dilations, weight.type.static_shape()[2:], strict=True)]
        sides = tuple((t // 2, t - t // 2) if padding == "same" else (0, 0) for t in totals)
    else:
        sides = tuple((p, p) for p in spread(padding, rank))
    op = Conv(strides, sides, dilations, groups)
    return per_image(context, x, rank, lambda batch: context.add(op, *_operands(batch, weight, bias)))


@captures("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def conv_transpose(
    context: Context,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    groups: int,
    dilation: Sequence[int],
) -> Value:
    rank = weight.type.rank - 2
    crop = zip(spread(padding, rank), spread(output_padding, rank), strict=True)
    sides = tuple((p, p - extra) for p, extra in crop)
    op = ConvTranspose(spread(stride, rank), sides, spread(dilation, rank), groups)
    return per_image(context, x, rank, lambda batch: context.add(op, *_operands(batch, weight, bias)))


@captures("convolution")
def convolution(
    context: Context,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Value:
    """What a program has in place of all convolutions after ``run_decompositions``."""
    if transposed:
        return conv_transpose(context, x, weight, bias, stride, padding, output_padding, groups, dilation)
    return conv(context, x, weight, bias, stride, padding, dilation, groups)
