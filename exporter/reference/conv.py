"""Convolutions in torch."""

from __future__ import annotations

from itertools import product

import torch
import torch.nn.functional as F

from ..ops import Conv, ConvTranspose, Layout
from ..ops.base import to_channels_first, to_channels_last
from ..ops.conv import weight_perm
from .activation import apply_activation
from .registry import Sizes, computes

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_CONV_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def channels_first(x: torch.Tensor, layout: Layout) -> torch.Tensor:
    return x.permute(to_channels_first(x.dim())) if layout is Layout.CHANNELS_LAST else x


def from_channels_first(y: torch.Tensor, layout: Layout) -> torch.Tensor:
    return y.permute(to_channels_last(y.dim())) if layout is Layout.CHANNELS_LAST else y


def pad_sides(padding: tuple[tuple[int, int], ...]) -> list[int]:
    """torch's F.pad order: last axis first."""
    return [side for pair in reversed(padding) for side in pair]


@computes(Conv)
def conv(
    op: Conv, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, *, sizes: Sizes
) -> torch.Tensor:
    weight = weight.permute(weight_perm(op, Layout.CHANNELS_FIRST))
    x = channels_first(x, op.layout)
    if x.dtype is torch.float64 and op.groups == x.shape[1] > 1:
        y = _depthwise(op, F.pad(x, pad_sides(op.padding)), weight, bias)
    else:
        alike = [before for before, after in op.padding if before == after >= 0]  # then torch pads without a copy
        if len(alike) < len(op.padding):
            x, alike = F.pad(x, pad_sides(op.padding)), [0] * len(op.padding)
        y = _CONV[len(op.stride)](x, weight, bias, op.stride, alike, op.dilation, op.groups)
    return from_channels_first(apply_activation(op.activation, y), op.layout)


def _depthwise(op: Conv, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """One tap of the window at a time: torch takes float64 convolutions group by group, which is 5 times slower."""
    kernel = weight.shape[2:]
    steps = list(zip(op.stride, op.dilation, strict=True))
    sizes = zip(x.shape[2:], kernel, steps, strict=True)
    counts = [(size - dilation * (k - 1) - 1) // stride + 1 for size, k, (stride, dilation) in sizes]
    x = x.repeat_interleave(weight.shape[0] // x.shape[1], 1)
    y = torch.zeros(x.shape[0], x.shape[1], *counts, dtype=x.dtype, device=x.device)
    for tap in product(*map(range, kernel)):
        window, factor = x, weight[:, 0]
        for axis, (t, count, (stride, dilation)) in enumerate(zip(tap, counts, steps, strict=True), 2):
            window = window[
                (*[slice(None)] * axis, slice(t * dilation, t * dilation + (count - 1) * stride + 1, stride))
            ]
            factor = factor.narrow(axis - 1, t, 1)
        y.addcmul_(window, factor)
    return y if bias is None else y + bias.reshape(-1, *[1] * len(kernel))


@computes(ConvTranspose)
def conv_transpose(
    op: ConvTranspose, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, *, sizes: Sizes
) -> torch.Tensor:
    weight = weight.permute(weight_perm(op, Layout.CHANNELS_FIRST))
    full = _CONV_TRANSPOSE[len(op.stride)](
        channels_first(x, op.layout), weight, None, op.stride, 0, 0, op.groups, op.dilation
    )
    y = F.pad(full, [-side for side in pad_sides(op.padding)])
    if bias is not None:
        y = y + bias.reshape(-1, *[1] * len(op.stride))
    return from_channels_first(apply_activation(op.activation, y), op.layout)
