"""Normalisation in torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..ops import BatchNorm, LayerNorm
from .registry import Sizes, computes


@computes(BatchNorm)
def batch_norm(
    op: BatchNorm,
    x: torch.Tensor,
    scale: torch.Tensor,
    offset: torch.Tensor,
    mean: torch.Tensor,
    variance: torch.Tensor,
    *,
    sizes: Sizes,
) -> torch.Tensor:
    if op.axis == 1:  # torch's own, and so to the bit what a module answers
        return F.batch_norm(x, mean, variance, scale, offset, eps=op.epsilon)
    along = [1] * x.dim()
    along[op.axis] = -1
    factor = scale * torch.rsqrt(variance + op.epsilon)
    centred = x - mean.reshape(along)
    return centred.mul_(factor.reshape(along)).add_(offset.reshape(along))


@computes(LayerNorm)
def layer_norm(
    op: LayerNorm,
    x: torch.Tensor,
    scale: torch.Tensor | None = None,
    offset: torch.Tensor | None = None,
    *,
    sizes: Sizes,
) -> torch.Tensor:
    return F.layer_norm(x, x.shape[x.dim() - op.axes :], scale, offset, op.epsilon)
