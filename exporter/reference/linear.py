"""Matrix products in torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..ops import Linear, MatMul
from .activation import apply_activation
from .registry import Sizes, computes


@computes(Linear)
def linear(
    op: Linear, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, *, sizes: Sizes
) -> torch.Tensor:
    return apply_activation(op.activation, F.linear(x, weight, bias))


@computes(MatMul)
def matmul(op: MatMul, a: torch.Tensor, b: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return torch.matmul(a, b.mT if op.transpose_b else b)
