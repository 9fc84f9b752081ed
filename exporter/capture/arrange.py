"""ATen ops that repeat, turn and rearrange cells, and ranges and diagonals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..graph import Dim, DType, Sym, Value
from ..ops import (
    Add,
    Concat,
    Equal,
    GreaterEqual,
    Iota,
    LessEqual,
    Mul,
    Pad,
    Reshape,
    Reverse,
    Slice,
    Transpose,
    Where,
)
from .context import Context
from .index import counted, expanded
from .registry import captures

Number = float | Sym


@captures("expand", "expand_as", "broadcast_to", "expand_copy")
def expand(context: Context, x: Value, *_: object) -> Value:
    return expanded(context, x, context.result_shape())


@captures("broadcast_tensors")
def broadcast_tensors(context: Context, tensors: Sequence[Value]) -> list[Value]:
    rank = max(t.type.rank for t in tensors)
    shape: list[Dim] = [1] * rank
    for t in tensors:
        for axis, size in enumerate(t.type.shape, rank - t.type.rank):
            shape[axis] = size if shape[axis] == 1 else shape[axis]
    return [expanded(context, t, shape) for t in tensors]


@captures("meshgrid", "meshgrid.indexing")
def meshgrid(context: Context, tensors: Sequence[Value], indexing: str = "ij") -> list[Value]:
    order = list(range(len(tensors)))
    if indexing == "xy" and len(order) > 1:
        order[:2] = [1, 0]
    shape: list[Dim] = [1] * len(order)
    for axis, t in zip(order, tensors, strict=True):
        shape[axis] = t.type.elements
    lines = []
    for axis, t in zip(order, tensors, strict=True):
        line = tuple(shape[axis] if i == axis else 1 for i in range(len(order)))
        lines.append(expanded(context, context.add(Reshape(line), t), shape))
    return lines


@captures("repeat", "tile")
def repeat(context: Context, x: Value, counts: Sequence[Dim]) -> Value:
    """Whole copies along each axis: every axis that is repeated gets one in front of it, which is expanded."""
    rank = max(x.type.rank, len(counts))
    times = [1] * (rank - len(counts)) + list(counts)
    sizes = [1] * (rank - x.type.rank) + list(x.type.shape)
    return _expanded_beside(context, x, sizes, times, before=True)


@captures("repeat_interleave.self_int")
def repeat_interleave(context: Context, x: Value, count: Dim, axis: int | None, *_: object) -> Value:
    """Every cell ``count`` times."""
    sizes = [x.type.elements] if axis is None else list(x.type.shape)
    times: list[Dim] = [1] * len(sizes)
    times[axis or 0] = count
    return _expanded_beside(context, x, sizes, times, before=False)


def _expanded_beside(context: Context, x: Value, sizes: list[Dim], times: list[Dim], *, before: bool) -> Value:
    narrow: list[Dim] = []
    wide: list[Dim] = []
    for size, count in zip(sizes, times, strict=True):
        if count == 1 or size == 1:
            narrow.append(size)
            wide.append(size * count)
        else:
            narrow += [1, size] if before else [size, 1]
            wide += [count, size] if before else [size, count]
    y = x if tuple(narrow) == x.type.shape else context.add(Reshape(tuple(narrow)), x)
    y = expanded(context, y, wide)
    shape = context.result_shape()
    return y if y.type.shape == shape else context.add(Reshape(shape), y)


@captures("flip")
def flip(context: Context, x: Value, axes: Sequence[int]) -> Value:
    turned = tuple(axis % x.type.rank for axis in axes if x.type.shape[axis] != 1) if x.type.rank else ()
    return context.add(Reverse(turned), x) if turned else x


@captures("fliplr")
def flip_columns(context: Context, x: Value) -> Value:
    return flip(context, x, [1])


@captures("flipud")
def flip_rows(context: Context, x: Value) -> Value:
    return flip(context, x, [0])


@captures("roll")
def roll(context: Context, x: Value, shifts: Sequence[Dim], axes: Sequence[int]) -> Value:
    """The last cells of an axis come before the others; without axes, of the flat tensor."""
    if not axes:
        flat = context.add(Reshape((x.type.elements,)), x)
        return context.add(Reshape(x.type.shape), roll(context, flat, shifts, [0]))
    for shift, axis in zip(shifts, axes, strict=True):
        at = axis % x.type.rank
        size = x.type.shape[at]
        moved = shift % size if size != 0 else 0
        if moved != 0:
            parts = [Slice((at,), bounds[:1], bounds[1:], (1,)) for bounds in ((size - moved, size), (0, size - moved))]
            x = context.add(Concat(at), *(context.add(part, x) for part in parts))
    return x


@captures("movedim.int", "movedim.intlist", "moveaxis.int", "moveaxis.intlist")
def movedim(context: Context, x: Value, sources: int | Sequence[int], targets: int | Sequence[int]) -> Value:
    rank = x.type.rank
    pairs = [[a % rank for a in ([axes] if isinstance(axes, int) else axes)] for axes in (sources, targets)]
    at = dict(zip(pairs[1], pairs[0], strict=True))
    rest = iter([axis for axis in range(rank) if axis not in pairs[0]])
    return context.add(Transpose(tuple(at[axis] if axis in at else next(rest) for axis in range(rank))), x)


@captures("rot90")
def rot90(context: Context, x: Value, times: int, axes: Sequence[int]) -> Value:
    first, second = (axis % x.type.rank for axis in axes)
    perm = list(range(x.type.rank))
    perm[first], perm[second] = perm[second], perm[first]
    turn = Transpose(tuple(perm))
    if times % 4 == 1:
        return context.add(turn, flip(context, x, [second]))
    if times % 4 == 3:
        return flip(context, context.add(turn, x), [second])
    return flip(context, x, [first, second]) if times % 4 == 2 else x


@captures("pixel_shuffle")
def pixel_shuffle(context: Context, x: Value, factor: int) -> Value:
    *front, channels, height, width = x.type.shape
    n = len(front)
    y = context.add(Reshape((*front, channels // factor**2, factor, factor, height, width)), x)
    y = context.add(Transpose((*range(n), n, n + 3, n + 1, n + 4, n + 2)), y)
    return context.add(Reshape(context.result_shape()), y)


@captures("pixel_unshuffle")
def pixel_unshuffle(context: Context, x: Value, factor: int) -> Value:
    *front, channels, height, width = x.type.shape
    n = len(front)
    y = context.add(Reshape((*front, channels, height // factor, factor, width // factor, factor)), x)
    y = context.add(Transpose((*range(n), n, n + 2, n + 4, n + 1, n + 3)), y)
    return context.add(Reshape(context.result_shape()), y)


@captures("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(context: Context, x: Value, groups: int) -> Value:
    batch, channels, *spatial = x.type.shape
    y = context.add(Reshape((batch, groups, channels // groups, *spatial)), x)
    y = context.add(Transpose((0, 2, 1, *range(3, len(spatial) + 3))), y)
    return context.add(Reshape(x.type.shape), y)


# -- ranges ------------------------------------------------------------------------------------------------------------


@captures("arange.default", "arange")
def arange(context: Context, stop: Number, *_: object) -> Value:
    return arange_step(context, 0, stop, 1)


@captures("arange.start")
def arange_start(context: Context, start: Number, stop: Number, *_: object) -> Value:
    return arange_step(context, start, stop, 1)


@captures("arange.start_step")
def arange_step(context: Context, start: Number, stop: Number, step: Number, *_: object) -> Value:
    dtype, (size,) = context.result_dtype(), context.result_shape()
    if not isinstance(start, Sym) and not isinstance(stop, Sym) and not isinstance(step, Sym):
        numbers = torch.arange(start, stop, step, dtype=getattr(torch, dtype.value))
        return context.constant(numbers.numpy())
    y = context.cast(context.add(Iota(size)), dtype)
    if step != 1:
        y = context.add(Mul(), y, context.scalar(step, dtype))
    return y if start == 0 else context.add(Add(), y, context.scalar(start, dtype))


@captures("linspace")
def linspace(context: Context, start: float, stop: float, steps: Dim, *_: object) -> Value:
    count = context.static(steps, "the number of cells")
    dtype = getattr(torch, context.result_dtype().value)
    return context.constant(torch.linspace(start, stop, count, dtype=dtype).numpy())


@captures("eye", "eye.m")
def eye(context: Context, *_: object) -> Value:
    """One where the row's number is the column's."""
    rows, columns = context.result_shape()
    dtype = context.result_dtype()
    if isinstance(rows, int) and isinstance(columns, int):
        return context.constant(np.eye(rows, columns, dtype=dtype.numpy))
    row = context.add(Reshape((rows, 1)), counted(context, rows))
    return context.cast(context.add(Equal(), row, counted(context, columns)), dtype)


# -- diagonals ---------------------------------------------------------------------------------------------------------


@captures("diagonal", "diagonal_copy")
def diagonal(context: Context, x: Value, offset: int, first: int, second: int) -> Value:
    """Every (columns + 1)-th cell of the two axes merged, which go to the end."""
    axes = [first % x.type.rank, second % x.type.rank]
    perm = (*(axis for axis in range(x.type.rank) if axis not in axes), *axes)
    if perm != tuple(range(x.type.rank)):
        x = context.add(Transpose(perm), x)
    *front, rows, columns = x.type.shape
    height, width = (context.static(size, "the size of a matrix whose diagonal is taken") for size in (rows, columns))
    start = offset if offset >= 0 else -offset * width
    count = max(min(height + min(offset, 0), width - max(offset, 0)), 0)
    if count == 0:
        return context.add(Slice((len(front),), (0,), (0,), (1,)), context.add(Reshape((*front, height * width)), x))
    flat = context.add(Reshape((*front, height * width)), x)
    stop = min(start + (count - 1) * (width + 1) + 1, height * width)
    return context.add(Slice((len(front),), (start,), (stop,), (width + 1,)), flat)


@captures("diag_embed")
def diag_embed(context: Context, x: Value, offset: int, first: int, second: int) -> Value:
    """The cells with a row of zeros behind each, cut to the size of the matrix."""
    *front, count = x.type.shape
    n = context.static(count, "the size of a diagonal")
    size, rank = n + abs(offset), x.type.rank + 1
    start = offset if offset >= 0 else -offset * size
    spread = context.add(Pad((0,) * rank, (*(0 for _ in front), 0, size)), context.add(Reshape((*front, n, 1)), x))
    flat = context.add(Reshape((*front, n * (size + 1))), spread)
    missing = max(size * size - n * (size + 1) - start, 0)
    if start or missing:
        none = (0,) * len(front)
        flat = context.add(Pad((*none, start), (*none, missing)), flat)
    cut = context.add(Slice((len(front),), (0,), (size * size,), (1,)), flat)
    y = context.add(Reshape((*front, size, size)), cut)
    places = [first % rank, second % rank]
    if places == [rank - 2, rank - 1]:
        return y
    rest = iter(range(rank - 2))
    perm = [rank - 2 + places.index(axis) if axis in places else next(rest) for axis in range(rank)]
    return context.add(Transpose(tuple(perm)), y)


@captures("diag")
def diag(context: Context, x: Value, offset: int) -> Value:
    return diagonal(context, x, offset, 0, 1) if x.type.rank == 2 else diag_embed(context, x, offset, -2, -1)


@captures("atleast_1d", "atleast_2d", "atleast_3d")
def at_least(context: Context, x: Value) -> Value:
    shape = context.result_shape()
    return x if shape == x.type.shape else context.add(Reshape(shape), x)


@captures("hstack")
def hstack(context: Context, tensors: Sequence[Value]) -> Value:
    wide = [t if t.type.rank else context.add(Reshape((1,)), t) for t in tensors]
    dtype = context.result_dtype()
    return context.add(Concat(0 if wide[0].type.rank == 1 else 1), *(context.cast(t, dtype) for t in wide))


@captures("vstack", "row_stack")
def vstack(context: Context, tensors: Sequence[Value]) -> Value:
    dtype = context.result_dtype()
    tall = [t if t.type.rank > 1 else context.add(Reshape((1, t.type.elements)), t) for t in tensors]
    return context.add(Concat(0), *(context.cast(t, dtype) for t in tall))


@captures("tril")
def tril(context: Context, x: Value, offset: int) -> Value:
    return _triangle(context, x, offset, lower=True)


@captures("triu")
def triu(context: Context, x: Value, offset: int) -> Value:
    return _triangle(context, x, offset, lower=False)


def _triangle(context: Context, x: Value, offset: int, *, lower: bool) -> Value:
    """x on one side of the diagonal, zero elsewhere."""
    rows, columns = x.type.shape[-2:]
    if isinstance(rows, Sym) or isinstance(columns, Sym):
        row, column = context.add(Iota(rows)), context.add(Iota(columns))
        border = context.add(Add(), context.add(Reshape((rows, 1)), row), context.scalar(offset, DType.INT64))
        side = context.add(LessEqual() if lower else GreaterEqual(), column, border)
        return context.add(Where(), side, x, context.scalar(0, x.type.dtype))
    kept = np.tri(rows, columns, offset if lower else offset - 1, dtype=np.bool_)
    kept = kept if lower else ~kept
    if x.is_constant:
        return context.constant(np.where(kept, x.array(), np.zeros((), x.type.dtype.numpy)))
    return context.add(Where(), context.constant(kept), x, context.scalar(0, x.type.dtype))
