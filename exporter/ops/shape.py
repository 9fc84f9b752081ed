"""Moving cells about without computing: reshape, transpose, slice, concat, pad, gather."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph.dims import Dim
from ..graph.types import Shape, TensorType
from .base import OpAttrs, Perm, normalize_axis


@dataclass(frozen=True)
class Reshape(OpAttrs):
    """The same cells in row-major order under another shape.

    shape   ints and symbolic dims; its product must equal that of x's shape for every size of the free dims
    """

    shape: Shape

    def infer(self, *inputs: TensorType) -> TensorType:
        y = inputs[0].with_shape(self.shape)
        if y.elements != inputs[0].elements:
            raise self.misfit(f"{inputs[0].elements} elements cannot become {y}", inputs)
        return y


@dataclass(frozen=True)
class Transpose(OpAttrs):
    """y[i_perm[0], i_perm[1], …] = x[i_0, i_1, …]: axis k of y is axis perm[k] of x"""

    perm: Perm

    def infer(self, *inputs: TensorType) -> TensorType:
        (x,) = inputs
        if sorted(self.perm) != list(range(x.rank)):
            raise self.misfit(f"{self.perm} is not a permutation of the axes", inputs)
        return x.with_shape(tuple(x.shape[axis] for axis in self.perm))


@dataclass(frozen=True)
class Slice(OpAttrs):
    """x[.., start:stop:step, ..] along each of ``axes``; stops may be symbolic, steps are positive"""

    axes: tuple[int, ...]
    starts: tuple[int, ...]
    stops: Shape
    steps: tuple[int, ...]

    def infer(self, *inputs: TensorType) -> TensorType:
        (x,) = inputs
        shape: list[Dim] = list(x.shape)
        for axis, start, stop, step in zip(self.axes, self.starts, self.stops, self.steps, strict=True):
            if step < 1 or start < 0:
                raise self.misfit("starts must not be negative and steps must be positive", inputs)
            shape[axis] = (stop - start + step - 1) // step
        return x.with_shape(tuple(shape))

    def permuted(self, perm: Perm) -> Slice:
        return Slice(tuple(perm.index(axis) for axis in self.axes), self.starts, self.stops, self.steps)


@dataclass(frozen=True)
class Concat(OpAttrs):
    """Tensors of equal shape but for ``axis``, one after the other along it"""

    axis: int

    operands = ("x",)
    variadic = True

    def infer(self, *inputs: TensorType) -> TensorType:
        first = inputs[0]
        axis = normalize_axis(self.axis, first.rank)
        total: Dim = 0
        for x in inputs:
            others = [d for i, d in enumerate(x.shape) if i != axis]
            if x.rank != first.rank or others != [d for i, d in enumerate(first.shape) if i != axis]:
                raise self.misfit(f"shapes may differ along axis {axis} only", inputs)
            if x.dtype is not first.dtype:
                raise self.misfit("operands must have one dtype", inputs)
            total = total + x.shape[axis]
        return first.with_shape((*first.shape[:axis], total, *first.shape[axis + 1 :]))

    def permuted(self, perm: Perm) -> Concat:
        return Concat(perm.index(normalize_axis(self.axis, len(perm))))


@dataclass(frozen=True)
class Pad(OpAttrs):
    """Cells of ``value`` before and after each axis"""

    before: tuple[int, ...]
    after: tuple[int, ...]
    value: float = 0.0

    def infer(self, *inputs: TensorType) -> TensorType:
        (x,) = inputs
        if len(self.before) != x.rank or len(self.after) != x.rank:
            raise self.misfit(f"padding is for rank {len(self.before)}", inputs)
        shape = zip(self.before, x.shape, self.after, strict=True)
        return x.with_shape(tuple(size + before + after for before, size, after in shape))

    def permuted(self, perm: Perm) -> Pad:
        return Pad(tuple(self.before[a] for a in perm), tuple(self.after[a] for a in perm), self.value)


@dataclass(frozen=True)
class Gather(OpAttrs):
    """Slices of ``table`` along ``axis``, one for each index.

    table [*A, K, *B], indices [*I] integers in 0 … K-1  →  y [*A, *I, *B]
    """

    axis: int

    operands = ("table", "indices")

    def infer(self, *inputs: TensorType) -> TensorType:
        table, indices = inputs
        if not indices.dtype.is_integer:
            raise self.misfit("indices must be integers", inputs)
        axis = normalize_axis(self.axis, table.rank)
        return table.with_shape((*table.shape[:axis], *indices.shape, *table.shape[axis + 1 :]))
