"""ATen ops that read and write cells by number.

Only `index`, `index_put` and `take_along_dim` take indices that count from the end; those are counted from the front
here. An index that depends on values (a mask that is computed) has no shape that could be known, and torch.export
refuses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..graph import Array, Dim, DType, Sym, Value
from ..graph.dims import product
from ..ops import (
    Add,
    Expand,
    Gather,
    Iota,
    Maximum,
    Minimum,
    Mul,
    Reshape,
    Scatter,
    Slice,
    Sub,
    TakeAlong,
    Transpose,
)
from ..ops.base import inverse_perm
from .context import Context
from .registry import captures

_INDEX = DType.INT64


# -- reading -----------------------------------------------------------------------------------------------------------


@captures("embedding")
def embedding(context: Context, table: Value, indices: Value, *_: object) -> Value:
    return context.add(Gather(0), table, indices)


@captures("index_select")
def index_select(context: Context, table: Value, axis: int, indices: Value) -> Value:
    if indices.type.rank == 0:
        indices = context.add(Reshape((1,)), indices)
    if table.type.rank == 0:
        return table
    return context.add(Gather(axis % table.type.rank), table, indices)


@captures("one_hot")
def one_hot(context: Context, indices: Value, classes: int) -> Value:
    """Rows of the identity matrix."""
    count = context.static(context.result_shape()[-1], "the number of classes")
    return context.add(Gather(0), context.constant(np.eye(count, dtype=np.int64)), indices)


@captures("gather")
def gather(context: Context, x: Value, axis: int, indices: Value, *_: object) -> Value:
    if x.type.rank == 0:
        return x
    axis %= x.type.rank
    return context.add(TakeAlong(axis), _cut(context, x, indices.type.shape, axis), indices)


@captures("take_along_dim")
def take_along_dim(context: Context, x: Value, indices: Value, axis: int | None) -> Value:
    """`gather` whose operands broadcast along the other axes; without an axis, of the flat tensors."""
    if axis is None:
        flat = context.add(Reshape((x.type.elements,)), x)
        taken = context.add(Reshape((indices.type.elements,)), indices)
        return context.add(TakeAlong(0), flat, _from_the_front(context, taken, x.type.elements))
    axis %= x.type.rank
    shape = list(context.result_shape())
    wanted = expanded(context, _from_the_front(context, indices, x.type.shape[axis]), shape)
    shape[axis] = x.type.shape[axis]
    return context.add(TakeAlong(axis), expanded(context, x, shape), wanted)


@captures("index.Tensor", "_unsafe_index.Tensor")
def index(context: Context, x: Value, indices: Sequence[Value | None]) -> Value:
    """x[i, j, …]: the indexed axes become one, which is read by one number a cell."""
    axes, numbers = _indexed(context, x, indices)
    x, first = _side_by_side(context, x, axes)
    sizes = x.type.shape[first : first + len(axes)]
    if len(axes) > 1:
        x = context.add(Reshape((*x.type.shape[:first], product(sizes), *x.type.shape[first + len(axes) :])), x)
    return context.add(Gather(first), x, _flat_index(context, numbers, sizes))


def _indexed(context: Context, x: Value, indices: Sequence[Value | None]) -> tuple[list[int], list[Value]]:
    """The axes that are indexed, and their indices counted from the front; a constant mask becomes indices."""
    axes: list[int] = []
    numbers: list[Value] = []
    axis = 0
    for given in indices:
        if given is None:
            axis += 1
        elif given.type.dtype in (DType.BOOL, DType.UINT8):
            if not given.is_constant:
                raise context.error("TP206", "a mask that is computed is used as an index", "use torch.where instead")
            for cells in np.nonzero(given.array()):
                axes.append(axis)
                numbers.append(context.constant(cells.astype(np.int64)))
                axis += 1
        else:
            axes.append(axis)
            numbers.append(_from_the_front(context, context.cast(given, _INDEX), x.type.shape[axis]))
            axis += 1
    return axes, numbers


def _side_by_side(context: Context, x: Value, axes: Sequence[int]) -> tuple[Value, int]:
    """x with the axes next to one another, at the front if they were not so before; and where they begin."""
    if list(axes) == list(range(axes[0], axes[0] + len(axes))):
        return x, axes[0]
    return context.add(Transpose(_axes_first(axes, x.type.rank)), x), 0


def _axes_first(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    return (*axes, *(axis for axis in range(rank) if axis not in axes))


def _from_the_front(context: Context, indices: Value, size: Dim) -> Value:
    """Negative indices count from the end."""
    if indices.is_constant:
        array: Any = indices.array()
        if bool((array >= 0).all()):
            return indices
        if isinstance(size, int):
            return context.constant(np.where(array < 0, array + size, array).astype(array.dtype))
    if indices.producer is not None and isinstance(indices.producer.op, Iota):
        return indices
    zero, minus_one = (context.scalar(number, indices.type.dtype) for number in (0, -1))
    negative = context.add(Maximum(), context.add(Minimum(), indices, zero), minus_one)
    offset = context.add(Mul(), negative, context.scalar(size, indices.type.dtype))
    return context.add(Sub(), indices, offset)


def _flat_index(context: Context, numbers: Sequence[Value], sizes: Sequence[Dim]) -> Value:
    """Indices along several axes as indices along all of them merged."""
    flat = numbers[0]
    for number, size in zip(numbers[1:], sizes[1:], strict=True):
        flat = _plus(context, _times(context, flat, size), number)
    return flat


def _times(context: Context, a: Value, factor: Dim) -> Value:
    if factor == 1:
        return a
    if a.is_constant and isinstance(factor, int):
        array: Any = a.array()
        return context.constant(array * factor)
    return context.add(Mul(), a, context.scalar(factor, a.type.dtype))


def _plus(context: Context, a: Value, b: Value) -> Value:
    if a.is_constant and b.is_constant:
        left: Any = a.array()
        return context.constant(np.asarray(left + b.array()))
    return context.add(Add(), a, b)


def _cut(context: Context, x: Value, shape: Sequence[Dim], axis: int) -> Value:
    """x with no more cells than ``shape`` has, along all other axes."""
    cut = [i for i, size in enumerate(shape) if i != axis and size != x.type.shape[i]]
    if not cut:
        return x
    for axis in cut:
        context.at_most(shape[axis], x.type.shape[axis])
    return context.add(Slice(tuple(cut), (0,) * len(cut), tuple(shape[i] for i in cut), (1,) * len(cut)), x)


def expanded(context: Context, x: Value, shape: Sequence[Dim]) -> Value:
    """x broadcast to a shape."""
    return x if x.type.shape == tuple(shape) else context.add(Expand(tuple(shape)), x)


# -- writing -----------------------------------------------------------------------------------------------------------


@captures("scatter.src")
def scatter(context: Context, x: Value, axis: int, indices: Value, source: Value) -> Value:
    return _scatter_cells(context, x, axis, indices, source, add=False)


@captures("scatter.value")
def scatter_value(context: Context, x: Value, axis: int, indices: Value, number: float) -> Value:
    return _scatter_cells(context, x, axis, indices, context.scalar(number, x.type.dtype), add=False)


@captures("scatter_add")
def scatter_add(context: Context, x: Value, axis: int, indices: Value, source: Value) -> Value:
    return _scatter_cells(context, x, axis, indices, source, add=True)


@captures("scatter.reduce")
def scatter_reduce(context: Context, x: Value, axis: int, indices: Value, source: Value, how: str) -> Value:
    if how != "add":
        raise context.error("TP202", f"scatter that reduces by {how!r} has no meaning here", "reduce by 'add'")
    return scatter_add(context, x, axis, indices, source)


@captures("scatter_reduce.two")
def scatter_reduce_two(
    context: Context, x: Value, axis: int, indices: Value, source: Value, how: str, include_self: bool
) -> Value:
    if how != "sum" or not include_self:
        raise context.error(
            "TP202",
            f"scatter that reduces by {how!r}, or leaves out what was there before, has no meaning here",
            "reduce by 'sum' with include_self=True",
        )
    return scatter_add(context, x, axis, indices, source)


def _scatter_cells(context: Context, x: Value, axis: int, indices: Value, source: Value, *, add: bool) -> Value:
    """Every cell of the flat x by its own number."""
    shape = indices.type.shape
    if x.type.rank == 0:
        shape, indices = (1,), context.add(Reshape((1,)), indices)
        x = context.add(Reshape((1,)), x)
    axis %= x.type.rank
    whole = x.type.shape
    flat = _times(context, context.cast(indices, _INDEX), product(whole[axis + 1 :]))
    for other, size in enumerate(shape):
        if other != axis and size != 1:
            places = _times(context, counted(context, size), product(whole[other + 1 :]))
            flat = _plus(context, flat, _along(context, places, other, len(shape)))
    if source.type.rank == 0:
        updates = expanded(context, source, (product(shape),))
    else:
        updates = context.add(Reshape((product(shape),)), _cut(context, source, shape, -1))
    cells = context.add(Reshape((x.type.elements,)), x)
    numbers = context.add(Reshape((product(shape),)), flat)
    return context.add(Reshape(context.result_shape()), context.add(Scatter(add), cells, numbers, updates))


def counted(context: Context, size: Dim) -> Value:
    """0, 1, … size - 1 as int64; a constant where the size is known."""
    return context.add(Iota(size)) if isinstance(size, Sym) else context.constant(np.arange(size))


def _along(context: Context, line: Value, axis: int, rank: int) -> Value:
    """[n] as [1, …, n, …, 1] with n at ``axis``."""
    shape = tuple(line.type.shape[0] if i == axis else 1 for i in range(rank))
    if line.is_constant:
        array: Array = line.array().reshape(line.type.with_shape(shape).static_shape())
        return context.constant(array)
    return context.add(Reshape(shape), line)


@captures("index_add")
def index_add(context: Context, x: Value, axis: int, indices: Value, source: Value, alpha: float) -> Value:
    if alpha != 1:
        source = context.add(Mul(), source, context.scalar(alpha, source.type.dtype))
    return _scatter_rows(context, x, (axis % max(x.type.rank, 1),), indices, source, add=True)


@captures("index_copy")
def index_copy(context: Context, x: Value, axis: int, indices: Value, source: Value) -> Value:
    return _scatter_rows(context, x, (axis % max(x.type.rank, 1),), indices, source, add=False)


@captures("index_fill.int_Scalar", "index_fill.int_Tensor")
def index_fill(context: Context, x: Value, axis: int, indices: Value, number: Value | float) -> Value:
    cell = context.cast(number, x.type.dtype) if isinstance(number, Value) else context.scalar(number, x.type.dtype)
    axis %= max(x.type.rank, 1)
    shape = list(x.type.shape or (1,))
    shape[axis] = indices.type.elements
    return _scatter_rows(context, x, (axis,), indices, expanded(context, cell, shape), add=False)


def _scatter_rows(
    context: Context, x: Value, axes: tuple[int, ...], indices: Value, source: Value, *, add: bool
) -> Value:
    """Slices of x along one axis, which goes to the front for it."""
    shape = x.type.shape
    if not shape:
        x, source = context.add(Reshape((1,)), x), context.add(Reshape((1,)), source)
    if indices.type.rank == 0:
        indices = context.add(Reshape((1,)), indices)
    indices = _from_the_front(context, indices, x.type.shape[axes[0]])
    perm = _axes_first(axes, x.type.rank)
    turned = perm != tuple(range(x.type.rank))
    if turned:
        x, source = (context.add(Transpose(perm), value) for value in (x, source))
    y = context.add(Scatter(add), x, indices, context.cast(source, x.type.dtype))
    if turned:
        y = context.add(Transpose(inverse_perm(perm)), y)
    return y if shape else context.add(Reshape(()), y)


@captures("index_put", "_unsafe_index_put")
def index_put(
    context: Context, x: Value, indices: Sequence[Value | None], values: Value, accumulate: bool, *_: object
) -> Value:
    """x[i, j, …] = values (or +=): the indexed axes go to the front and become one."""
    axes, numbers = _indexed(context, x, indices)
    perm = _axes_first(axes, x.type.rank)
    at_front = axes == list(range(len(axes)))
    adjacent = axes == list(range(axes[0], axes[0] + len(axes)))
    turned = x if at_front else context.add(Transpose(perm), x)
    sizes, rest = turned.type.shape[: len(axes)], turned.type.shape[len(axes) :]
    flat = _flat_index(context, numbers, sizes)
    where = flat.type.shape
    front = 0 if at_front or not adjacent else axes[0]
    updates = expanded(context, context.cast(values, x.type.dtype), (*rest[:front], *where, *rest[front:]))
    if front:
        order = range(front, front + len(where))
        updates = context.add(Transpose(_axes_first(list(order), updates.type.rank)), updates)
    rows = context.add(Reshape((product(where), *rest)), updates)
    merged = context.add(Reshape((product(sizes), *rest)), turned)
    y = context.add(Scatter(accumulate), merged, context.add(Reshape((product(where),)), flat), rows)
    y = context.add(Reshape(turned.type.shape), y)
    return y if at_front else context.add(Transpose(inverse_perm(perm)), y)
