"""Resampling in torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..graph import evaluate_dim
from ..ops import Resize, ResizeMode
from .conv import channels_first, from_channels_first
from .registry import Sizes, computes


@computes(Resize)
def resize(op: Resize, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    image = channels_first(x, op.layout)
    size = [evaluate_dim(dim, sizes) for dim in op.size]
    if op.mode is ResizeMode.NEAREST:
        return from_channels_first(F.interpolate(image, size=size, mode="nearest"), op.layout)
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(size)]
    return from_channels_first(F.interpolate(image, size=size, mode=mode, align_corners=op.align_corners), op.layout)
