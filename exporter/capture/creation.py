"""ATen ops that make tensors from nothing: constants, so their sizes have to be known."""

from __future__ import annotations

import numpy as np

from ..graph import Value
from .context import Context
from .filled import Filled
from .registry import captures


def _filled(context: Context, number: object) -> Value | Filled:
    if isinstance(number, int | float) and context.expected is not None and context.expected.free_names:
        return Filled(number, context.expected)
    shape = tuple(
        context.static(dim, "the size of a tensor that is made in the model") for dim in context.result_shape()
    )
    return context.constant(np.full(shape, number, context.result_dtype().numpy))


@captures("ones", "new_ones", "ones_like")
def ones(context: Context, *_: object) -> Value | Filled:
    return _filled(context, 1)


@captures("zeros", "new_zeros", "zeros_like")
def zeros(context: Context, *_: object) -> Value | Filled:
    return _filled(context, 0)


@captures("empty", "empty_like", "new_empty", "empty_permuted", "empty_strided", "new_empty_strided")
def empty(context: Context, *_: object) -> Value | Filled:
    """What stands in memory that nobody has written is anyone's guess; zeros are one."""
    return _filled(context, 0)


@captures("full", "full_like")
def full(context: Context, like: object, number: float, *_: object) -> Value | Filled:
    return _filled(context, number)


@captures("new_full")
def new_full(context: Context, x: Value, size: object, number: float, *_: object) -> Value | Filled:
    return _filled(context, number)


@captures("scalar_tensor")
def scalar_tensor(context: Context, number: float, *_: object) -> Value:
    return context.scalar(number, context.result_dtype())
