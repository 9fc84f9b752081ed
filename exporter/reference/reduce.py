"""Reductions in torch."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..ops import OpAttrs, ReduceMax, ReduceMean, ReduceMin, ReduceOp, ReduceSum
from .registry import Sizes, computes

_REDUCE: dict[type[OpAttrs], Callable[..., torch.Tensor]] = {
    ReduceMean: torch.mean,
    ReduceSum: torch.sum,
    ReduceMax: torch.amax,
    ReduceMin: torch.amin,
}


@computes(*_REDUCE)
def reduce(op: ReduceOp, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    if not op.axes:
        return x
    return _REDUCE[type(op)](x, dim=list(op.axes), keepdim=op.keepdims)
