"""Moving cells about without computing: reshape, expand, transpose, slice, reverse, concat, pad."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..graph.dims import Dim
from ..graph.types import Shape, TensorType
from .base import OpAttrs, Perm, normalize_axis
from .broadcast import broadcast_shapes


@dataclass(frozen=True)
class Reshape(OpAttrs):
    """The same cells in row-major order under another shape.

    shape   ints and symbolic dims; its product must equal that of x's shape for every size of the free dims
    """

    shape: Shape

    takes_codes = True

    def infer(self, *inputs: TensorType) -> TensorType:
        y = inputs[0].with_shape(self.shape)
        if y.elements != inputs[0].elements:
            raise self.misfit(f"{inputs[0].elements} elements cannot become {y}", inputs)
        return y


@dataclass(frozen=True)
class Expand(OpAttrs):
    """x repeated along axes of size 1, and along new axes in front, to fill ``shape``"""

    shape: Shape

    takes_codes = True

    def infer(self, *inputs: TensorType) -> TensorType:
        y = inputs[0].with_shape(self.shape)
        if inputs[0].rank > y.rank or broadcast_shapes(self, inputs[0], y) != self.shape:
            raise self.misfit(f"cannot fill {y}", inputs)
        return y

    def permuted(self, perm: Perm) -> Expand:
        return Expand(tuple(self.shape[axis] for axis in perm))


@dataclass(frozen=True)
class Transpose(OpAttrs):
    """y[i_perm[0], i_perm[1], …] = x[i_0, i_1, …]: axis k of y is axis perm[k] of x"""

    perm: Perm

    takes_codes = True

    def infer(self, *inputs: TensorType) -> TensorType:
        (x,) = inputs
        if sorted(self.perm) != list(range(x.rank)):
            raise self.misfit(f"{self.perm} is not a permutation of the axes", inputs)
        return x.with_shape(tuple(x.shape[axis] for axis in self.perm))


@dataclass(frozen=True)
class Slice(OpAttrs):
    """x[.., start:stop:step, ..] along each of ``axes``; starts and stops may be symbolic, steps are positive"""

    axes: tuple[int, ...]
    starts: Shape
    stops: Shape
    steps: tuple[int, ...]

    takes_codes = True

    def infer(self, *inputs: TensorType) -> TensorType:
        (x,) = inputs
        shape: list[Dim] = list(x.shape)
        for axis, start, stop, step in zip(self.axes, self.starts, self.stops, self.steps, strict=True):
            if step < 1 or (isinstance(start, int) and start < 0):
                raise self.misfit("starts must not be negative and steps must be positive", inputs)
            shape[axis] = (stop - start + step - 1) // step
        return x.with_shape(tuple(shape))

    def permuted(self, perm: Perm) -> Slice:
        return Slice(tuple(perm.index(axis) for axis in self.axes), self.starts, self.stops, self.steps)


@dataclass(frozen=True)
class Reverse(OpAttrs):
    """The cells of each of ``axes`` in the opposite order"""

    axes: tuple[int, ...]

    takes_codes = True

    def infer(self, *inputs: TensorType) -> TensorType:
        if len({normalize_axis(axis, inputs[0].rank) for axis in self.axes}) != len(self.axes):
            raise self.misfit("an axis is named twice", inputs)
        return inputs[0]

    def permuted(self, perm: Perm) -> Reverse:
        return Reverse(tuple(perm.index(normalize_axis(axis, len(perm))) for axis in self.axes))


@dataclass(frozen=True)
class Concat(OpAttrs):
    """Tensors of equal shape but for ``axis``, one after the other along it"""

    axis: int

    operands = ("x",)
    variadic = True
    takes_codes = True

    def infer(self, *inputs: TensorType) -> TensorType:
        first = inputs[0]
        axis = normalize_axis(self.axis, first.rank)
        total: Dim = 0
        for x in inputs:
            others = [d for i, d in enumerate(x.shape) if i != axis]
            if x.rank != first.rank or others != [d for i, d in enumerate(first.shape) if i != axis]:
                raise self.misfit(f"shapes may differ along axis {axis} only", inputs)
            if (x.dtype, x.quantization) != (first.dtype, first.quantization):
                raise self.misfit("operands must have one dtype, and codes one scale and zero point", inputs)
            total = total + x.shape[axis]
        return first.with_shape((*first.shape[:axis], total, *first.shape[axis + 1 :]))

    def permuted(self, perm: Perm) -> Concat:
        return Concat(perm.index(normalize_axis(self.axis, len(perm))))


@dataclass(frozen=True)
class Pad(OpAttrs):
    """Cells of ``value`` (a code, where x is quantized) before and after each axis; their number may be symbolic"""

    before: Shape
    after: Shape
    value: float = 0.0

    takes_codes = True

    def infer(self, *inputs: TensorType) -> TensorType:
        (x,) = inputs
        if len(self.before) != x.rank or len(self.after) != x.rank:
            raise self.misfit(f"padding is for rank {len(self.before)}", inputs)
        shape = zip(self.before, x.shape, self.after, strict=True)
        return x.with_shape(tuple(size + before + after for before, size, after in shape))

    def permuted(self, perm: Perm) -> Pad:
        return Pad(tuple(self.before[a] for a in perm), tuple(self.after[a] for a in perm), self.value)


class BorderMode(Enum):
    """What stands beyond the border of a tensor."""

    REFLECT = "reflect"
    REPLICATE = "replicate"


@dataclass(frozen=True)
class BorderPad(OpAttrs):
    """Cells of x itself before and after each axis.

    reflect     b c d | a b c …: mirrored at the border cell, which is not repeated
    replicate   a a a | a b c …: the border cell itself
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    mode: BorderMode

    takes_codes = True

    def infer(self, *inputs: TensorType) -> TensorType:
        (x,) = inputs
        if len(self.before) != x.rank or len(self.after) != x.rank:
            raise self.misfit(f"padding is for rank {len(self.before)}", inputs)
        for before, size, after in zip(self.before, x.shape, self.after, strict=True):
            most = max(before, after)
            needed = most + 1 if self.mode is BorderMode.REFLECT else 1
            if min(before, after) < 0 or (most and isinstance(size, int) and size < needed):
                raise self.misfit(f"{before} and {after} cells cannot be had of {size}", inputs)
        shape = zip(self.before, x.shape, self.after, strict=True)
        return x.with_shape(tuple(size + before + after for before, size, after in shape))

    def permuted(self, perm: Perm) -> BorderPad:
        return BorderPad(tuple(self.before[a] for a in perm), tuple(self.after[a] for a in perm), self.mode)
