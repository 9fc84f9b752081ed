"""Cells by number, in torch."""

from __future__ import annotations

import torch

from ..graph import evaluate_dim
from ..ops import Gather, Iota, Scatter, Size, TakeAlong
from .registry import Sizes, computes


@computes(Iota)
def iota(op: Iota, *, sizes: Sizes) -> torch.Tensor:
    return torch.arange(evaluate_dim(op.size, sizes))


@computes(Size)
def size(op: Size, *, sizes: Sizes) -> torch.Tensor:
    return torch.tensor(evaluate_dim(op.size, sizes))


@computes(Gather)
def gather(op: Gather, table: torch.Tensor, indices: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    rows = table.index_select(op.axis, indices.reshape(-1).long())
    axis = op.axis % table.dim()
    return rows.reshape([*table.shape[:axis], *indices.shape, *table.shape[axis + 1 :]])


@computes(TakeAlong)
def take_along(op: TakeAlong, x: torch.Tensor, indices: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return x.gather(op.axis, indices.long())


@computes(Scatter)
def scatter(
    op: Scatter, x: torch.Tensor, indices: torch.Tensor, updates: torch.Tensor, *, sizes: Sizes
) -> torch.Tensor:
    if op.add:
        return x.index_add(0, indices.long(), updates)
    y = x.clone()
    for index, row in zip(indices.tolist(), updates, strict=True):
        y[index] = row
    return y
