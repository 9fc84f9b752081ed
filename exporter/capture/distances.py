"""ATen ops between all pairs of rows: distances, and places in a sorted row."""

from __future__ import annotations

import numpy as np

from ..graph import DType, Value
from ..ops import Cast, Gather, GreaterEqual, Less, OpAttrs, ReduceSum, Sub
from .context import Context
from .linear import reshaped
from .reduce import norm
from .registry import captures


@captures("cdist", "_cdist_forward")
def cdist(context: Context, a: Value, b: Value, order: float, *_: object) -> Value:
    """[..., P, M], [..., R, M] → [..., P, R], from the differences: no digits cancel as they do in a² - 2ab + b²."""
    *left, rows, width = a.type.shape
    *right, others, _same = b.type.shape
    apart = context.add(
        Sub(), reshaped(context, a, (*left, rows, 1, width)), reshaped(context, b, (*right, 1, others, width))
    )
    return norm(context, apart, float(order), -1, False)


@captures("pdist")
def pdist(context: Context, x: Value, order: float) -> Value:
    """[N, M] → the distances of row i to row j > i, in the order of i"""
    rows = context.static(x.type.shape[0], "the number of rows of pdist")
    first, second = (context.constant(line.astype(np.int64)) for line in np.triu_indices(rows, 1))
    apart = context.add(Sub(), context.add(Gather(0), x, first), context.add(Gather(0), x, second))
    return norm(context, apart, float(order), -1, False)


def _places(context: Context, row: Value, x: Value, right: bool) -> Value:
    """How many cells of the row lie below x; ``right``: below or at it. [..., n] and [..., m] → [..., m]"""
    dtype = context.result_dtype()
    if row.type.dtype is not x.type.dtype:
        row, x = context.cast(row, DType.FLOAT32), context.cast(x, DType.FLOAT32)
    *leading, size = row.type.shape
    line = row if not leading else reshaped(context, row, (*leading, 1, size))
    below: type[OpAttrs] = GreaterEqual if right else Less
    cell = reshaped(context, x, (*x.type.shape, 1))
    there = context.add(below(), cell, line) if right else context.add(below(), line, cell)
    return context.cast(context.add(ReduceSum((x.type.rank,), False), context.add(Cast(DType.INT32), there)), dtype)


@captures("searchsorted.Tensor")
def searchsorted(
    context: Context,
    row: Value,
    x: Value,
    out_int32: bool,
    right: bool,
    side: str | None,
    sorter: Value | None,
) -> Value:
    if sorter is not None:
        raise context.error("TP202", "searchsorted with a sorter has no meaning here", "sort the row: row[sorter]")
    return _places(context, row, x, right or side == "right")


@captures("bucketize.Tensor")
def bucketize(context: Context, x: Value, boundaries: Value, out_int32: bool, right: bool) -> Value:
    return _places(context, boundaries, x, right)
