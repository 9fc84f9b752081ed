"""Moving cells about, in torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..graph import evaluate_dim
from ..ops import BorderMode, BorderPad, Concat, Expand, Pad, Reshape, Reverse, Slice, Transpose
from .registry import Sizes, computes


@computes(Reshape)
def reshape(op: Reshape, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return x.reshape([evaluate_dim(dim, sizes) for dim in op.shape])


@computes(Expand)
def expand(op: Expand, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return x.expand([evaluate_dim(dim, sizes) for dim in op.shape])


@computes(Reverse)
def reverse(op: Reverse, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return x.flip(op.axes)


@computes(Transpose)
def transpose(op: Transpose, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return x.permute(op.perm)


@computes(Slice)
def slice_(op: Slice, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    index: list[slice] = [slice(None)] * x.dim()
    for axis, start, stop, step in zip(op.axes, op.starts, op.stops, op.steps, strict=True):
        index[axis] = slice(evaluate_dim(start, sizes), evaluate_dim(stop, sizes), step)
    return x[tuple(index)]


@computes(Concat)
def concat(op: Concat, *tensors: torch.Tensor, sizes: Sizes) -> torch.Tensor:
    return torch.cat(tensors, dim=op.axis)


@computes(Pad)
def pad(op: Pad, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    pairs = zip(op.before, op.after, strict=True)
    sides = [evaluate_dim(side, sizes) for pair in reversed(list(pairs)) for side in pair]
    return F.pad(x, sides, value=op.value)


@computes(BorderPad)
def border_pad(op: BorderPad, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    for axis, (before, after) in enumerate(zip(op.before, op.after, strict=True)):
        if before or after:
            place, last = torch.arange(-before, x.shape[axis] + after), x.shape[axis] - 1
            place = last - (last - place.abs()).abs() if op.mode is BorderMode.REFLECT else place.clamp(0, last)
            x = x.index_select(axis, place)
    return x
