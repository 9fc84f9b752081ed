"""ATen ops that torch's rewriting of in-place writes leaves behind: parts of a tensor replaced by others."""

from __future__ import annotations

import numpy as np

from ..graph import Dim, Value
from ..graph.dims import never_negative
from ..ops import Concat, Mul, Pad, Reshape, Slice
from .context import Context
from .filled import Filled, takes_filled
from .registry import captures
from .shape import bounds


def fill(context: Context, x: Value | Filled, number: float) -> Value | Filled:
    """A tensor like ``x`` with one number in every cell."""
    if x.type.free_names:
        return Filled(number, x.type)
    return context.constant(np.full(x.type.static_shape(), number, x.type.dtype.numpy))


@captures("fill.Scalar", "zero.default")
@takes_filled
def fill_scalar(context: Context, x: Value, number: float = 0) -> Value | Filled:
    return fill(context, x, number)


@captures("fill.Tensor")
@takes_filled
def fill_tensor(context: Context, x: Value, number: Value) -> Value | Filled:
    if number.is_constant:
        return fill(context, x, number.array().item())
    return copy(context, x, number)


@captures("copy.default")
@takes_filled
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
@takes_filled
def slice_scatter(
    context: Context,
    x: Value | Filled,
    source: Value | Filled,
    axis: int,
    start: Dim | None,
    stop: Dim | None,
    step: Dim,
) -> Value | Filled:
    """x with x[.., start:stop, ..] along ``axis`` replaced."""
    axis %= x.type.rank
    size, width = x.type.shape[axis], source.type.shape[axis]
    if step != 1:
        raise context.error("TP202", "writing every n-th cell has no meaning here", "write a range of cells")
    if width == 0:
        return x
    found = bounds(size, start, stop, width)
    if found is None:
        raise context.error(
            "TP203", f"where {width} cells of {size} are written to depends on a free dimension", "use torch.cat"
        )
    first, last = found
    if first == 0 and last == size:
        return Filled(source.number, x.type) if isinstance(source, Filled) else source
    return _replaced(context, x, source, axis, first, last)


@captures("select_scatter")
@takes_filled
def select_scatter(
    context: Context, x: Value | Filled, source: Value | Filled, axis: int, index: Dim
) -> Value | Filled:
    """x with x[.., index, ..] along ``axis`` replaced."""
    axis %= x.type.rank
    at = context.static(index, "the index of a selection")
    place = x.type.shape[axis] + at if at < 0 else at
    if isinstance(source, Value):
        shape = x.type.shape
        source = context.add(Reshape((*shape[:axis], 1, *shape[axis + 1 :])), source)
    return _replaced(context, x, source, axis, place, place + 1)


def _replaced(
    context: Context, x: Value | Filled, source: Value | Filled, axis: int, first: Dim, last: Dim
) -> Value | Filled:
    """x before ``first``, the source, x from ``last`` on, along one axis."""
    size = x.type.shape[axis]
    if isinstance(x, Filled):
        rest = size - last
        if isinstance(source, Value) and isinstance(first, int) and isinstance(rest, int):
            return _padded(context, source, axis, first, rest, x.number)
        if isinstance(source, Filled) and source.number == x.number:
            return x
        x = context.expand(x.number, x.type)
    for rest in (first, size - last):
        if rest != 0 and not never_negative(rest - 1):
            raise context.error(
                "TP203",
                f"of {size} cells {rest} are left as they are, which may be none: ports know no empty tensors",
                "choose with torch.where and a mask of the size, or make the size fixed",
            )
    before = context.add(Slice((axis,), (0,), (first,), (1,)), x) if first != 0 else None
    after = context.add(Slice((axis,), (last,), (size,), (1,)), x) if last != size else None
    if isinstance(source, Value):
        return context.add(Concat(axis), *(part for part in (before, source, after) if part is not None))
    cells = context.static(last - first, "how much of an axis is filled")
    if before is not None:
        padded = _padded(context, before, axis, 0, cells, source.number)
        return padded if after is None else context.add(Concat(axis), padded, after)
    if after is None:
        raise context.error("TP203", "a whole tensor is filled whose size is free", "write only a part of it")
    return _padded(context, after, axis, cells, 0, source.number)


def _padded(context: Context, x: Value, axis: int, before: int, after: int, number: float) -> Value:
    """x with so many cells of a number before and behind it along an axis."""
    low, high = (tuple(cells if i == axis else 0 for i in range(x.type.rank)) for cells in (before, after))
    return context.add(Pad(low, high, float(number)), x)
