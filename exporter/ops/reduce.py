"""Reductions over axes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from ..graph.types import DType, TensorType
from .base import OpAttrs, Perm, normalize_axis


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


@dataclass(frozen=True)
class ReduceProd(ReduceOp):
    """Product"""


@dataclass(frozen=True)
class ArgOp(OpAttrs, abstract=True):
    """x [..., n, ...]  →  int64 positions along ``axis``, which stays with size 1 or goes; the first among equals"""

    axis: int
    keepdims: bool

    def infer(self, *inputs: TensorType) -> TensorType:
        (x,) = inputs
        axis = normalize_axis(self.axis, x.rank)
        kept = (1,) if self.keepdims else ()
        return TensorType(DType.INT64, (*x.shape[:axis], *kept, *x.shape[axis + 1 :]))

    def permuted(self, perm: Perm) -> Self | None:
        if not self.keepdims:
            return None
        return replace(self, axis=perm.index(normalize_axis(self.axis, len(perm))))


@dataclass(frozen=True)
class ArgMax(ArgOp):
    """Where the largest value is"""


@dataclass(frozen=True)
class ArgMin(ArgOp):
    """Where the smallest value is"""


@dataclass(frozen=True)
class CumSum(OpAttrs):
    """Sums of all cells up to each one along ``axis``"""

    axis: int

    def infer(self, *inputs: TensorType) -> TensorType:
        normalize_axis(self.axis, inputs[0].rank)
        return inputs[0]

    def permuted(self, perm: Perm) -> CumSum:
        return CumSum(perm.index(normalize_axis(self.axis, len(perm))))


@dataclass(frozen=True)
class TopK(OpAttrs):
    """The ``k`` largest (or smallest) cells along ``axis``, best first; among equals the one that came first.

    x [..., n, ...]  →  values [..., k, ...], positions [..., k, ...] int64
    """

    k: int
    axis: int
    largest: bool = True

    def infer_outputs(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        (x,) = inputs
        self.check_codes(inputs)
        axis = normalize_axis(self.axis, x.rank)
        size = x.shape[axis]
        if isinstance(size, int) and not 0 <= self.k <= size:
            raise self.misfit(f"k is {self.k}", inputs)
        values = x.with_shape((*x.shape[:axis], self.k, *x.shape[axis + 1 :]))
        return values, values.with_dtype(DType.INT64)

    def permuted(self, perm: Perm) -> TopK:
        return replace(self, axis=perm.index(normalize_axis(self.axis, len(perm))))
