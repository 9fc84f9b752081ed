"""ATen reductions."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph import Value
from ..ops import ReduceMax, ReduceMean, ReduceMin, ReduceSum
from ..ops.reduce import ReduceOp
from .context import Context
from .registry import captures


def _reduce(context: Context, op: type[ReduceOp], x: Value, axes: Sequence[int] | int | None, keepdims: bool) -> Value:
    listed = [axes] if isinstance(axes, int) else list(axes or range(x.type.rank))
    ordered = tuple(sorted(axis % x.type.rank for axis in listed))
    return context.add(op(ordered, keepdims), context.cast(x, context.result_dtype()))


@captures("mean.dim", "mean.default")
def mean(context: Context, x: Value, axes: Sequence[int] | None = None, keepdim: bool = False, *_: object) -> Value:
    return _reduce(context, ReduceMean, x, axes if isinstance(axes, list) else None, bool(keepdim))


@captures("sum.dim_IntList", "sum.default")
def sum_(context: Context, x: Value, axes: Sequence[int] | None = None, keepdim: bool = False, *_: object) -> Value:
    return _reduce(context, ReduceSum, x, axes if isinstance(axes, list) else None, bool(keepdim))


@captures("amax")
def amax(context: Context, x: Value, axes: Sequence[int], keepdim: bool) -> Value:
    return _reduce(context, ReduceMax, x, axes, keepdim)


@captures("amin")
def amin(context: Context, x: Value, axes: Sequence[int], keepdim: bool) -> Value:
    return _reduce(context, ReduceMin, x, axes, keepdim)
