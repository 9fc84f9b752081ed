"""Cells by number: gathering, scattering, and the numbers themselves."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph.dims import Dim
from ..graph.types import DType, TensorType
from .base import OpAttrs, Perm, normalize_axis


@dataclass(frozen=True)
class Iota(OpAttrs):
    """0, 1, … size-1 as int64: a constant where the size is known"""

    size: Dim

    operands = ()

    def infer(self, *inputs: TensorType) -> TensorType:
        return TensorType(DType.INT64, (self.size,))


@dataclass(frozen=True)
class Size(OpAttrs):
    """A free dimension, or what arithmetic makes of it, as an int64 of shape []"""

    size: Dim

    operands = ()

    def infer(self, *inputs: TensorType) -> TensorType:
        return TensorType(DType.INT64, ())


@dataclass(frozen=True)
class Gather(OpAttrs):
    """Slices of ``table`` along ``axis``, one for each index.

    table [*A, K, *B], indices [*I] integers in 0 … K-1  →  y [*A, *I, *B]
    """

    axis: int

    operands = ("table", "indices")
    takes_codes = True

    def infer(self, *inputs: TensorType) -> TensorType:
        table, indices = inputs
        if not indices.dtype.is_integer:
            raise self.misfit("indices must be integers", inputs)
        axis = normalize_axis(self.axis, table.rank)
        return table.with_shape((*table.shape[:axis], *indices.shape, *table.shape[axis + 1 :]))


@dataclass(frozen=True)
class TakeAlong(OpAttrs):
    """One cell along ``axis`` for each index.

    x [*A, K, *B], indices [*A, M, *B] integers in 0 … K-1  →  y [*A, M, *B],  y[a, m, b] = x[a, indices[a, m, b], b]
    """

    axis: int

    operands = ("x", "indices")

    def infer(self, *inputs: TensorType) -> TensorType:
        x, indices = inputs
        axis = normalize_axis(self.axis, x.rank)
        if not indices.dtype.is_integer:
            raise self.misfit("indices must be integers", inputs)
        others = [(*t.shape[:axis], *t.shape[axis + 1 :]) for t in inputs]
        if x.rank != indices.rank or others[0] != others[1]:
            raise self.misfit(f"shapes may differ along axis {axis} only", inputs)
        return x.with_shape(indices.shape)

    def permuted(self, perm: Perm) -> TakeAlong:
        return TakeAlong(perm.index(normalize_axis(self.axis, len(perm))))


@dataclass(frozen=True)
class Scatter(OpAttrs):
    """Rows of x replaced by others, or with others added to them.

    x [N, *R], indices [M] integers in 0 … N-1, updates [M, *R]  →  y like x

    ``add`` sums up all updates of a row. Otherwise a row that is written several times holds one of its updates: the
    last one in the reference and the browser, any of them in ONNX Runtime, as torch leaves it open too.
    """

    add: bool = False

    operands = ("x", "indices", "updates")

    def infer(self, *inputs: TensorType) -> TensorType:
        x, indices, updates = inputs
        if not indices.dtype.is_integer or indices.rank != 1:
            raise self.misfit("indices must be integers along one axis", inputs)
        if updates.dtype is not x.dtype or updates.shape != (*indices.shape, *x.shape[1:]):
            raise self.misfit("there must be one row of x's dtype and shape for each index", inputs)
        return x
