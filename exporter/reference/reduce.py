"""Reductions in torch."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..ops import (
    ArgMax,
    ArgMin,
    ArgOp,
    CumSum,
    OpAttrs,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceOp,
    ReduceProd,
    ReduceSum,
    TopK,
)
from .registry import Sizes, computes


def _sum(x: torch.Tensor, dim: list[int], keepdim: bool) -> torch.Tensor:
    """torch widens int32 to int64 here; the op does not."""
    return torch.sum(x, dim=dim, keepdim=keepdim, dtype=x.dtype)


def _product(x: torch.Tensor, dim: list[int], keepdim: bool) -> torch.Tensor:
    for axis in reversed(dim):
        x = torch.prod(x, dim=axis, keepdim=keepdim, dtype=x.dtype)
    return x


_REDUCE: dict[type[OpAttrs], Callable[..., torch.Tensor]] = {
    ReduceMean: torch.mean,
    ReduceSum: _sum,
    ReduceProd: _product,
    ReduceMax: torch.amax,
    ReduceMin: torch.amin,
}


@computes(*_REDUCE)
def reduce(op: ReduceOp, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    if not op.axes:
        return x
    return _REDUCE[type(op)](x, dim=list(op.axes), keepdim=op.keepdims)


@computes(ArgMax, ArgMin)
def position(op: ArgOp, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    """torch does not say which of several equal cells it takes: the first is sought here; NaN goes before all."""
    best = torch.amax if isinstance(op, ArgMax) else torch.amin
    hits = (x == best(x, dim=op.axis, keepdim=True)) | torch.isnan(x)
    return hits.to(torch.uint8).cumsum(op.axis).eq(0).sum(op.axis, keepdim=op.keepdims) % x.shape[op.axis]


@computes(CumSum)
def cumulated(op: CumSum, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return torch.cumsum(x, op.axis, dtype=x.dtype)


@computes(TopK)
def top_k(op: TopK, x: torch.Tensor, *, sizes: Sizes) -> tuple[torch.Tensor, torch.Tensor]:
    values, positions = torch.sort(x, dim=op.axis, descending=op.largest, stable=True)
    return values.narrow(op.axis, 0, op.k), positions.narrow(op.axis, 0, op.k)
