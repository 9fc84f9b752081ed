"""ATen ops that depend on the order of cells along an axis: sorting, the best k, and running totals."""

from __future__ import annotations

from collections.abc import Callable

from ..graph import DType, Value
from ..ops import CumSum, Mul, Pad, Reshape, Slice, TopK
from .context import Context
from .registry import captures


def _best(context: Context, x: Value, k: int, axis: int, largest: bool) -> tuple[Value, Value]:
    """Values and positions, best first; small integers by way of int32."""
    dtype = x.type.dtype
    if not dtype.is_float:
        x = context.cast(x, DType.INT32) if dtype is not DType.INT64 else x
    if not x.type.rank:
        first, second = _best(context, context.add(Reshape((1,)), x), k, 0, largest)
        return context.add(Reshape(()), first), context.add(Reshape(()), second)
    op = TopK(k, axis % x.type.rank, largest)
    values, positions = context.graph.add_node(op, [x], name=context.name, source=context.source).outputs
    return context.cast(values, dtype), positions


@captures("topk")
def topk(context: Context, x: Value, k: int, axis: int, largest: bool, ordered: bool) -> tuple[Value, Value]:
    return _best(context, x, context.static(k, "the number of cells that topk takes"), axis, largest)


def _size(context: Context, x: Value, axis: int, what: str) -> int:
    return context.static(x.type.shape[axis], what) if x.type.rank else 1


@captures("sort.default", "sort.stable")
def sort(context: Context, x: Value, *arguments: object) -> tuple[Value, Value]:
    """(axis, descending), after ``stable`` where torch says it."""
    axis, descending = arguments[-2:] if arguments else (0, False)
    assert isinstance(axis, int)
    return _best(context, x, _size(context, x, axis, "the axis that is sorted"), axis, bool(descending))


@captures("msort")
def msort(context: Context, x: Value) -> Value:
    return sort(context, x)[0]


@captures("argsort.default", "argsort.stable")
def argsort(context: Context, x: Value, *arguments: object) -> Value:
    return sort(context, x, *arguments[-2:])[1]


@captures("kthvalue")
def kthvalue(context: Context, x: Value, k: int, axis: int, keepdims: bool) -> tuple[Value, Value]:
    """The last of the k smallest"""
    both = _best(context, x, k, axis, largest=False)
    if not x.type.rank:
        return both
    at = axis % x.type.rank
    last = [context.add(Slice((at,), (k - 1,), (k,), (1,)), value) for value in both]
    if not keepdims:
        shape = (*x.type.shape[:at], *x.type.shape[at + 1 :])
        last = [context.add(Reshape(shape), value) for value in last]
    return last[0], last[1]


@captures("median.dim")
def median_along(context: Context, x: Value, axis: int, keepdims: bool) -> tuple[Value, Value]:
    """The lower one of two middle cells"""
    middle = (_size(context, x, axis, "the axis of the median") + 1) // 2
    return kthvalue(context, x, middle, axis, keepdims)


@captures("median.default")
def median(context: Context, x: Value) -> Value:
    flat = context.add(Reshape((x.type.elements,)), x)
    return median_along(context, flat, 0, False)[0]


@captures("cumsum")
def cumsum(context: Context, x: Value, axis: int, dtype: object) -> Value:
    x = context.cast(x, context.result_dtype())
    return context.add(CumSum(axis % x.type.rank), x) if x.type.rank else x


def running(context: Context, x: Value, axis: int, start: float, joined: Callable[[Value, Value], Value]) -> Value:
    """y[i] = joined of x[0] … x[i], in log2(n) steps: in each, what stands 1, 2, 4 … cells before is joined."""
    if not x.type.rank:
        return x
    at = axis % x.type.rank
    size = context.static(x.type.shape[at], "how far a running product goes")
    reach = 1
    while reach < size:
        before = tuple(reach if i == at else 0 for i in range(x.type.rank))
        shifted = context.add(Pad(before, (0,) * x.type.rank, start), x)
        x = joined(x, context.add(Slice((at,), (0,), (size,), (1,)), shifted))
        reach *= 2
    return x


@captures("cumprod")
def cumprod(context: Context, x: Value, axis: int, dtype: object) -> Value:
    x = context.cast(x, context.result_dtype())
    return running(context, x, axis, 1.0, lambda a, b: context.add(Mul(), a, b))
