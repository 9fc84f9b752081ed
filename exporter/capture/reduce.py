"""ATen reductions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..graph import Dim, DType, Sym, Value
from ..ops import (
    Abs,
    Add,
    ArgMax,
    ArgMin,
    Cast,
    Div,
    Equal,
    Exp,
    Log,
    LogicalNot,
    Mul,
    NotEqual,
    Pow,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceOp,
    ReduceProd,
    ReduceSum,
    Reshape,
    Sqrt,
    Sub,
    Where,
)
from .context import Context
from .logic import truth
from .registry import captures

Axes = Sequence[int] | int | None
_SMALL = (DType.BOOL, DType.INT8, DType.UINT8, DType.INT16)


def axes_of(x: Value, axes: Axes) -> tuple[int, ...]:
    """Axes counted from the front, ascending; all of them where torch names none."""
    listed = [axes] if isinstance(axes, int) else list(axes or range(x.type.rank))
    return tuple(sorted({axis % x.type.rank for axis in listed})) if x.type.rank else ()


def reduce(context: Context, op: type[ReduceOp], x: Value, axes: Axes, keepdims: bool, dtype: DType) -> Value:
    """One reduction in a dtype; small integers and bools by way of int32."""
    x = context.cast(x, dtype)
    ordered = axes_of(x, axes)
    if dtype in _SMALL:
        return context.cast(context.add(op(ordered, keepdims), context.cast(x, DType.INT32)), dtype)
    return context.add(op(ordered, keepdims), x)


@captures("mean.dim", "mean.default")
def mean(context: Context, x: Value, axes: Axes = None, keepdim: bool = False, *_: object) -> Value:
    found = axes if isinstance(axes, list | int) else None
    return reduce(context, ReduceMean, x, found, bool(keepdim), context.result_dtype())


@captures("sum.dim_IntList", "sum.default")
def sum_(context: Context, x: Value, axes: Axes = None, keepdim: bool = False, *_: object) -> Value:
    found = axes if isinstance(axes, list | int) and not isinstance(axes, bool) else None
    return reduce(context, ReduceSum, x, found, bool(keepdim), context.result_dtype())


@captures("prod.default")
def prod(context: Context, x: Value, dtype: object) -> Value:
    return reduce(context, ReduceProd, x, None, False, context.result_dtype())


@captures("prod.dim_int")
def prod_along(context: Context, x: Value, axis: int, keepdim: bool, dtype: object) -> Value:
    return reduce(context, ReduceProd, x, axis, keepdim, context.result_dtype())


@captures("amax")
def amax(context: Context, x: Value, axes: Axes, keepdim: bool) -> Value:
    return reduce(context, ReduceMax, x, axes, keepdim, context.result_dtype())


@captures("amin")
def amin(context: Context, x: Value, axes: Axes, keepdim: bool) -> Value:
    return reduce(context, ReduceMin, x, axes, keepdim, context.result_dtype())


@captures("max.default")
def max_of_all(context: Context, x: Value) -> Value:
    return reduce(context, ReduceMax, x, None, False, context.result_dtype())


@captures("min.default")
def min_of_all(context: Context, x: Value) -> Value:
    return reduce(context, ReduceMin, x, None, False, context.result_dtype())


def position(context: Context, op: type[ArgMax | ArgMin], x: Value, axis: int | None, keepdims: bool) -> Value:
    """Where the extreme is: along an axis, or among all cells in row-major order."""
    if not x.type.dtype.is_float:
        x = context.cast(x, DType.INT32)
    if axis is None or not x.type.rank:
        kept = (1,) * x.type.rank if keepdims else ()
        found = context.add(op(0, False), context.add(Reshape((x.type.elements,)), x))
        return context.add(Reshape(kept), found) if kept else found
    return context.add(op(axis % x.type.rank, keepdims), x)


@captures("argmax")
def argmax(context: Context, x: Value, axis: int | None, keepdims: bool) -> Value:
    return position(context, ArgMax, x, axis, keepdims)


@captures("argmin")
def argmin(context: Context, x: Value, axis: int | None, keepdims: bool) -> Value:
    return position(context, ArgMin, x, axis, keepdims)


@captures("max.dim")
def max_along(context: Context, x: Value, axis: int, keepdims: bool) -> tuple[Value, Value]:
    values = reduce(context, ReduceMax, x, axis, keepdims, x.type.dtype)
    return values, position(context, ArgMax, x, axis, keepdims)


@captures("min.dim")
def min_along(context: Context, x: Value, axis: int, keepdims: bool) -> tuple[Value, Value]:
    values = reduce(context, ReduceMin, x, axis, keepdims, x.type.dtype)
    return values, position(context, ArgMin, x, axis, keepdims)


@captures("aminmax")
def aminmax(context: Context, x: Value, axis: int | None, keepdims: bool) -> tuple[Value, Value]:
    dtype = x.type.dtype
    return reduce(context, ReduceMin, x, axis, keepdims, dtype), reduce(context, ReduceMax, x, axis, keepdims, dtype)


@captures("any.default", "any.dim", "any.dims")
def any_(context: Context, x: Value, axes: Axes = None, keepdim: bool = False) -> Value:
    found = reduce(context, ReduceMax, truth(context, x), axes, keepdim, DType.INT32)
    return context.cast(context.add(NotEqual(), found, context.scalar(0, DType.INT32)), context.result_dtype())


@captures("all.default", "all.dim", "all.dims")
def all_(context: Context, x: Value, axes: Axes = None, keepdim: bool = False) -> Value:
    found = reduce(context, ReduceMin, truth(context, x), axes, keepdim, DType.INT32)
    return context.cast(context.add(NotEqual(), found, context.scalar(0, DType.INT32)), context.result_dtype())


@captures("logsumexp", "special_logsumexp")
def logsumexp(context: Context, x: Value, axes: Axes, keepdims: bool) -> Value:
    """The largest cell is taken out first; an infinite one, which would leave ∞ - ∞, is not."""
    dtype = context.result_dtype()
    x, along = context.cast(x, dtype), axes_of(x, axes)
    top = context.add(ReduceMax(along, True), x)
    endless = context.add(Equal(), context.add(Abs(), top), context.scalar(math.inf, dtype))
    top = context.add(Where(), endless, context.scalar(0, dtype), top)
    total = context.add(ReduceSum(along, True), context.add(Exp(), context.add(Sub(), x, top)))
    y = context.add(Add(), context.add(Log(), total), top)
    return y if keepdims else context.add(Reshape(context.result_shape()), y)


def count(x: Value, axes: Sequence[int]) -> Dim:
    """Cells that a reduction brings together."""
    total: Dim = 1
    for axis in axes:
        total = total * x.type.shape[axis]
    return total


def variance(context: Context, x: Value, axes: Axes, correction: float, keepdims: bool) -> Value:
    """Mean square distance from the mean, divided by the count less ``correction``."""
    along = axes_of(x, axes)
    dtype = x.type.dtype
    centred = context.add(Sub(), x, context.add(ReduceMean(along, True), x))
    squares = context.add(Mul(), centred, centred)
    if correction == 0:
        return context.add(ReduceMean(along, keepdims), squares)
    cells = count(x, along)
    total = context.add(ReduceSum(along, keepdims), squares)
    if not isinstance(cells, Sym):
        divisor = max(cells - correction, 0)
        return context.add(Div(), total, context.scalar(divisor, dtype))
    # How many there are is known only at run time: ones are summed. A cell that is no number spoils the result anyway.
    ones = context.add(Cast(dtype), context.add(LogicalNot(), context.add(NotEqual(), x, x)))
    many = context.add(ReduceSum(along, keepdims), ones)
    return context.add(Div(), total, context.add(Sub(), many, context.scalar(correction, dtype)))


def _correction(given: float | None, keepdim: bool) -> tuple[float, bool]:
    """``unbiased`` (a bool) or ``correction`` (a number; None means 1)."""
    return 1.0 if given is None else float(given), keepdim


@captures("var.correction", "var.dim")
def var(context: Context, x: Value, axes: Axes, correction: float | None, keepdim: bool) -> Value:
    return variance(context, x, axes, *_correction(correction, keepdim))


@captures("std.correction", "std.dim")
def std(context: Context, x: Value, axes: Axes, correction: float | None, keepdim: bool) -> Value:
    return context.add(Sqrt(), var(context, x, axes, correction, keepdim))


@captures("var.default")
def var_of_all(context: Context, x: Value, unbiased: bool) -> Value:
    return variance(context, x, None, float(unbiased), False)


@captures("std.default")
def std_of_all(context: Context, x: Value, unbiased: bool) -> Value:
    return context.add(Sqrt(), variance(context, x, None, float(unbiased), False))


@captures("var_mean.correction", "var_mean.dim")
def var_mean(context: Context, x: Value, axes: Axes, correction: float | None, keepdim: bool) -> tuple[Value, Value]:
    spread = var(context, x, axes, correction, keepdim)
    return spread, context.add(ReduceMean(axes_of(x, axes), keepdim), x)


@captures("std_mean.correction", "std_mean.dim")
def std_mean(context: Context, x: Value, axes: Axes, correction: float | None, keepdim: bool) -> tuple[Value, Value]:
    spread, middle = var_mean(context, x, axes, correction, keepdim)
    return context.add(Sqrt(), spread), middle


def norm(context: Context, x: Value, order: float, axes: Axes, keepdims: bool) -> Value:
    """(Σ |x|^order)^(1/order), and its limits: the extremes at ±∞, the number of cells that are not 0 at 0."""
    along, dtype = axes_of(x, axes), context.result_dtype()
    x = context.cast(x, dtype)
    if order == 2:
        return context.add(Sqrt(), context.add(ReduceSum(along, keepdims), context.add(Mul(), x, x)))
    size = context.add(Abs(), x)
    if math.isinf(order):
        return context.add((ReduceMax if order > 0 else ReduceMin)(along, keepdims), size)
    if order == 0:
        there = context.add(NotEqual(), x, context.scalar(0, dtype))
        return context.add(ReduceSum(along, keepdims), context.add(Cast(dtype), there))
    if order == 1:
        return context.add(ReduceSum(along, keepdims), size)
    total = context.add(ReduceSum(along, keepdims), context.add(Pow(), size, context.scalar(order, dtype)))
    return context.add(Pow(), total, context.scalar(1 / order, dtype))


@captures("linalg_vector_norm")
def vector_norm(context: Context, x: Value, order: float, axes: Axes, keepdims: bool, dtype: object) -> Value:
    return norm(context, x, float(order), axes, keepdims)


@captures("linalg_norm.default")
def any_norm(context: Context, x: Value, order: float | None, axes: Axes, keepdims: bool, dtype: object) -> Value:
    """Without an order all cells are one vector; with one, a single axis is, and two are a matrix."""
    one = isinstance(axes, int) or len(axes if axes is not None else range(x.type.rank)) == 1
    if order is not None and not one:
        raise context.error(
            "TP202", "norms of matrices have no meaning here", "use torch.linalg.vector_norm, or give one dim"
        )
    return norm(context, x, 2.0 if order is None else float(order), axes, keepdims)
