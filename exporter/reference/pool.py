"""Pooling in torch."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

from ..ops import AveragePool, MaxPool
from .conv import channels_first, from_channels_first, pad_sides
from .registry import Sizes, computes


def _max_pool_1d(
    x: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], padding: int, dilation: tuple[int, ...]
) -> torch.Tensor:
    """As a picture of one row: torch's own knows no integers."""
    return F.max_pool2d(x.unsqueeze(2), (1, *kernel), (1, *stride), padding, (1, *dilation)).squeeze(2)


_MAX: dict[int, Callable[..., torch.Tensor]] = {1: _max_pool_1d, 2: F.max_pool2d, 3: F.max_pool3d}
_MEAN = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


@computes(MaxPool)
def max_pool(op: MaxPool, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    lowest = -math.inf if x.dtype.is_floating_point else torch.iinfo(x.dtype).min
    padded = F.pad(channels_first(x, op.layout), pad_sides(op.padding), value=lowest)
    if not x.dtype.is_floating_point:
        padded = padded.contiguous()  # channels last, torch counts the cells in their own type: 127 of int8 at most
    return from_channels_first(_MAX[len(op.kernel)](padded, op.kernel, op.stride, 0, op.dilation), op.layout)


@computes(AveragePool)
def average_pool(op: AveragePool, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    pool = _MEAN[len(op.kernel)]
    image = channels_first(x, op.layout)
    padded = F.pad(image, pad_sides(op.padding))
    y = pool(padded, op.kernel, op.stride)
    if not op.count_include_pad and any(side for pair in op.padding for side in pair):
        inside = F.pad(torch.ones_like(image[:1, :1]), pad_sides(op.padding))
        y = y / pool(inside, op.kernel, op.stride)
    return from_channels_first(y, op.layout)
