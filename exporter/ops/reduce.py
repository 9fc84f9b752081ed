"""Reductions over axes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from ..graph.types import TensorType
from .base import OpAttrs, Perm


@dataclass(frozen=True)
class ReduceOp(OpAttrs, abstract=True):
    """x [...]  →  y with ``axes`` (counted from the front, ascending) of size 1, or without them"""

    axes: tuple[int, ...]
    keepdims: bool

    def infer(self, *inputs: TensorType) -> TensorType:
        (x,) = inputs
        if any(not 0 <= axis < x.rank for axis in self.axes):
            raise self.misfit(f"axes {self.axes} do not exist", inputs)
        kept = [1 if axis in self.axes else dim for axis, dim in enumerate(x.shape)]
        if self.keepdims:
            return x.with_shape(tuple(kept))
        return x.with_shape(tuple(dim for axis, dim in enumerate(x.shape) if axis not in self.axes))

    def permuted(self, perm: Perm) -> Self | None:
        if not self.keepdims:
            return None
        return replace(self, axes=tuple(sorted(perm.index(axis) for axis in self.axes)))


@dataclass(frozen=True)
class ReduceMean(ReduceOp):
    """Arithmetic mean"""


@dataclass(frozen=True)
class ReduceSum(ReduceOp):
    """Sum"""


@dataclass(frozen=True)
class ReduceMax(ReduceOp):
    """Largest value"""


@dataclass(frozen=True)
class ReduceMin(ReduceOp):
    """Smallest value"""
