"""Reductions in torch."""

from __future__ import annotations

import torch

from ..ops import ReduceMax, ReduceMean, ReduceMin, ReduceOp, ReduceSum
from .registry import Sizes, computes

_REDUCE = {ReduceMean: torch.mean, ReduceSum: torch.sum, ReduceMax: torch.amax, ReduceMin: torch.amin}


@computes(*_REDUCE)
def reduce(op: ReduceOp, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    if not op.axes:
        return x
    function = _REDUCE[type(op)]
    return function(x, dim=list(op.axes), keepdim=op.keepdims)
