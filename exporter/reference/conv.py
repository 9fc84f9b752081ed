"""Convolutions in torch."""

from __future__ import annotations

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
    padded = F.pad(channels_first(x, op.layout), pad_sides(op.padding))
    y = _CONV[len(op.stride)](padded, weight, bias, op.stride, 0, op.dilation, op.groups)
    return from_channels_first(apply_activation(op.activation, y), op.layout)


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
