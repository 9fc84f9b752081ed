"""ATen ops that torch's rewriting of in-place writes leaves behind: parts of a tensor replaced by others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..graph import Dim, TensorType, Value
from ..ops import Concat, Mul, Pad, Reshape, Slice
from .context import Context
from .registry import captures


@dataclass(frozen=True)
class Filled:
    """One number in every cell of a shape with free dims: no constant, but good to be scattered into a tensor."""

    number: float
    type: TensorType


def fill(context: Context, x: Value | Filled, number: float) -> Value | Filled:
    """A tensor like ``x`` with one number in every cell."""
    if x.type.free_names:
        return Filled(number, x.type)
    return context.constant(np.full(x.type.static_shape(), number, x.type.dtype.numpy))


@captures("fill.Scalar", "zero.default")
def fill_scalar(context: Context, x: Value, number: float = 0) -> Value | Filled:
    return fill(context, x, number)


@captures("fill.Tensor")
def fill_tensor(context: Context, x: Value, number: Value) -> Value | Filled:
    if number.is_constant:
        return fill(context, x, number.array().item())
    return copy(context, x, number)


@captures("copy.default")
def copy(context: Context, x: Value, source: Value | Filled, *_: object) -> Value | Filled:
    """``source`` in the dtype and, by broadcasting, the shape of ``x``."""
    if isinstance(source, Filled):
        return Filled(source.number, x.type)
    value = context.cast(source, x.type.dtype)
    if value.type.shape == x.type.shape:
        return value
    if value.is_constant and value.type.elements == 1:
        return fill(context, x, value.array().item())
    if x.type.free_names:
        raise context.error(
            "TP203",
            f"{value.type} is spread over {x.type}, whose size depends on a free dimension",
            "expand the value by an operation with a tensor of that shape, or build the whole with torch.cat",
        )
    if value.is_constant:
        return context.constant(np.broadcast_to(value.array(), x.type.static_shape()).copy())
    return context.add(Mul(), value, context.constant(np.ones(x.type.static_shape(), x.type.dtype.numpy)))


@captures("slice_scatter")
def slice_scatter(
    context: Context, x: Value, source: Value | Filled, axis: int, start: Dim | None, stop: Dim | None, step: Dim
) -> Value | Filled:
    """x with x[.., start:stop, ..] along ``axis`` replaced."""
    axis %= x.type.rank
    size = x.type.shape[axis]
    if step != 1:
        raise context.error("TP202", "writing every n-th cell has no meaning here", "write a range of cells")
    first = context.static(start or 0, "the start of a slice")
    whole = stop is None or stop == size or (isinstance(stop, int) and stop >= 2**31)
    if first == 0 and whole:
        return Filled(source.number, x.type) if isinstance(source, Filled) else source
    length = context.static(size, "the end of a slice")
    last = length if whole or stop is None else context.static(stop, "the end of a slice")
    first, last = (min(max(at + length if at < 0 else at, 0), length) for at in (first, last))
    return _replaced(context, x, source, axis, first, max(first, last)) if last > first else x


@captures("select_scatter")
def select_scatter(context: Context, x: Value, source: Value | Filled, axis: int, index: Dim) -> Value | Filled:
    """x with x[.., index, ..] along ``axis`` replaced."""
    axis %= x.type.rank
    at = context.static(index, "the index of a selection")
    if at < 0:
        at = context.static(x.type.shape[axis] + at, "the index of a selection")
    if isinstance(source, Value):
        shape = x.type.shape
        source = context.add(Reshape((*shape[:axis], 1, *shape[axis + 1 :])), source)
    return _replaced(context, x, source, axis, at, at + 1)


def _replaced(context: Context, x: Value, source: Value | Filled, axis: int, first: int, last: int) -> Value:
    """x before ``first``, the source, x from ``last`` on, along one axis."""
    size = context.static(x.type.shape[axis], "an axis that is written to")
    sides = [(0, first), (last, size)]
    before, after = (
        context.add(Slice((axis,), (start,), (stop,), (1,)), x) if stop > start else None for start, stop in sides
    )
    if isinstance(source, Value):
        return context.add(Concat(axis), *(part for part in (before, source, after) if part is not None))
    cells = tuple(last - first if i == axis else 0 for i in range(x.type.rank))
    none = (0,) * x.type.rank
    if before is not None:
        padded = context.add(Pad(none, cells, float(source.number)), before)
        return padded if after is None else context.add(Concat(axis), padded, after)
    if after is None:
        raise context.error("TP203", "a whole tensor is filled whose size is free", "write only a part of it")
    return context.add(Pad(cells, none, float(source.number)), after)


SCATTERS = (fill_scalar, fill_tensor, copy, slice_scatter, select_scatter)
"""The converters that know what to do with `Filled`."""
