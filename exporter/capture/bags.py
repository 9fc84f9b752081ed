"""Bags: rows of a table that are summed up, averaged, or compared for the largest numbers.

F.embedding_bag(indices [bags, n], table) gives torch the indices one after the other, and offsets 0, n, 2n …: bags of
one size, whose number may be free. Bags of several sizes need offsets that are known.
"""

from __future__ import annotations

import math

import numpy as np

from ..graph import Dim, DType, Value
from ..ops import (
    Cast,
    Div,
    Gather,
    Iota,
    Maximum,
    Mul,
    NotEqual,
    ReduceMax,
    ReduceMean,
    ReduceSum,
    Reshape,
    Scatter,
    Size,
    Slice,
    Where,
)
from .context import Context
from .logic import compare
from .registry import captures

_SUM, _MEAN, _MAX = 0, 1, 2

Bags = list[Value | None]
"""The result, and three tensors that torch needs for training only."""


@captures("embedding_bag", "embedding_bag.padding_idx", "_embedding_bag")
def embedding_bag(
    context: Context,
    table: Value,
    indices: Value,
    offsets: Value,
    scale_by_frequency: bool,
    mode: int,
    sparse: bool,
    weights: Value | None,
    include_last: bool,
    padding: int | None = None,
) -> Bags:
    """Sum (mode 0), mean (1) or maximum (2) of the rows of each bag; rows of the index ``padding`` do not count."""
    rows = context.add(Gather(0), table, indices)
    if weights is not None:
        rows = context.add(Mul(), rows, context.add(Reshape((indices.type.elements, 1)), weights))
    skipped = padding if padding is not None and padding >= 0 else None
    length = _even_length(offsets, indices.type.elements, include_last=include_last)
    if length is not None:
        bags = offsets.type.shape[0] - include_last
        grouped = context.add(Reshape((bags, length, table.type.shape[1])), rows)
        counts = compare(context, NotEqual(), indices, skipped) if skipped is not None else None
        if counts is not None:
            counts = context.add(Reshape((bags, length, 1)), counts)
        return [_of_even_bags(context, grouped, mode, counts), None, None, None]
    if not offsets.is_constant or skipped is not None:
        raise context.error(
            "TP202",
            "bags of unequal size whose bounds or contents depend on the input have no meaning here",
            "give indices of shape [bags, n], and leave out what is padding by padding_idx or weights of 0",
        )
    return [_of_uneven_bags(context, rows, offsets, mode, include_last=include_last), None, None, None]


def _even_length(offsets: Value, count: Dim, *, include_last: bool) -> Dim | None:
    """How many rows each bag has, if all have as many."""
    if offsets.is_constant and isinstance(count, int):
        starts = offsets.array().astype(np.int64).tolist()
        bounds = starts if include_last else [*starts, count]
        lengths = {*np.diff(bounds).tolist()}
        even = len(lengths) == 1 and bounds[0] == 0 and bounds[-1] == count
        return lengths.pop() or None if even else None
    length = _step(offsets)
    return length if length is not None and length * (offsets.type.shape[0] - include_last) == count else None


def _step(offsets: Value) -> Dim | None:
    """n of 0, n, 2n …"""
    node = offsets.producer
    while node is not None and isinstance(node.op, Cast):
        node = node.inputs[0].producer
    if node is not None and isinstance(node.op, Iota):
        return 1
    if node is None or not isinstance(node.op, Mul) or _step(node.inputs[0]) != 1:
        return None
    factor = node.inputs[1]
    if factor.is_constant:
        return int(factor.array()) if factor.type.rank == 0 else None
    made = factor.producer
    while made is not None and isinstance(made.op, Cast):
        made = made.inputs[0].producer
    return made.op.size if made is not None and isinstance(made.op, Size) else None


def _of_even_bags(context: Context, rows: Value, mode: int, counts: Value | None) -> Value:
    """rows [bags, n, width], counts [bags, n, 1]: which of them are no padding  →  [bags, width]."""
    if counts is None:
        return context.add((ReduceSum, ReduceMean, ReduceMax)[mode]((1,), False), rows)
    kept = context.add(Where(), counts, rows, context.scalar(-math.inf if mode == _MAX else 0.0, DType.FLOAT32))
    if mode == _SUM:
        return context.add(ReduceSum((1,), False), kept)
    numbers = context.add(ReduceSum((1,), False), context.cast(counts, DType.FLOAT32))
    if mode == _MEAN:
        least = context.add(Maximum(), numbers, context.scalar(1, DType.FLOAT32))
        return context.add(Div(), context.add(ReduceSum((1,), False), kept), least)
    largest = context.add(ReduceMax((1,), False), kept)
    some = compare(context, NotEqual(), numbers, 0)
    return context.add(Where(), some, largest, context.scalar(0, DType.FLOAT32))


def _of_uneven_bags(context: Context, rows: Value, offsets: Value, mode: int, *, include_last: bool) -> Value:
    """rows [count, width]  →  [bags, width]."""
    if mode == _MAX:
        raise context.error("TP202", "the maximum of bags of unequal size has no meaning here", "take sum or mean")
    count, width = (context.static(size, "the number of indices and the width of a row") for size in rows.type.shape)
    starts = offsets.array().astype(np.int64).tolist()
    bounds = starts if include_last else [*starts, count]
    lengths = np.diff(bounds)
    used = context.add(Slice((0,), (bounds[0],), (bounds[-1],), (1,)), rows)
    numbers = context.constant(np.repeat(np.arange(len(lengths)), lengths))
    none = context.constant(np.zeros((len(lengths), width), np.float32))
    sums = context.add(Scatter(add=True), none, numbers, used)
    if mode == _SUM:
        return sums
    share = (1 / np.maximum(lengths, 1)).astype(np.float32)[:, None]
    return context.add(Mul(), sums, context.constant(share))
