"""Moving cells about, in torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..graph import evaluate_dim
from ..ops import Concat, Gather, Pad, Reshape, Slice, Transpose
from .registry import Sizes, computes


@computes(Reshape)
def reshape(op: Reshape, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return x.reshape([evaluate_dim(dim, sizes) for dim in op.shape])


@computes(Transpose)
def transpose(op: Transpose, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return x.permute(op.perm)


@computes(Slice)
def slice_(op: Slice, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    index: list[slice] = [slice(None)] * x.dim()
    for axis, start, stop, step in zip(op.axes, op.starts, op.stops, op.steps, strict=True):
        index[axis] = slice(start, evaluate_dim(stop, sizes), step)
    return x[tuple(index)]


@computes(Concat)
def concat(op: Concat, *tensors: torch.Tensor, sizes: Sizes) -> torch.Tensor:
    return torch.cat(tensors, dim=op.axis)


@computes(Pad)
def pad(op: Pad, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    sides = [side for pair in reversed(list(zip(op.before, op.after, strict=True))) for side in pair]
    return F.pad(x, sides, value=op.value)


@computes(Gather)
def gather(op: Gather, table: torch.Tensor, indices: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    rows = table.index_select(op.axis, indices.reshape(-1).long())
    axis = op.axis % table.dim()
    return rows.reshape([*table.shape[:axis], *indices.shape, *table.shape[axis + 1 :]])
