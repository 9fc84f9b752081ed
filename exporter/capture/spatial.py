"""Images without a batch axis, which torch's spatial layers take as well."""

from __future__ import annotations

from collections.abc import Callable

from ..graph import Value
from ..ops import Reshape
from .context import Context


def per_image(context: Context, x: Value, rank: int, compute: Callable[[Value], Value]) -> Value:
    """``compute`` of x [N, C, *S], or of a single image [C, *S] as a batch of one.

    rank   number of spatial axes
    """
    if x.type.rank == rank + 2:
        return compute(x)
    y = compute(as_batch(context, x))
    return context.add(Reshape(y.type.shape[1:]), y)


def as_batch(context: Context, x: Value) -> Value:
    """[C, *S] → [1, C, *S]"""
    return context.add(Reshape((1, *x.type.shape)), x)
