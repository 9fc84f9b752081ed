"""ATen activations and clamps that are choices between, or sums of, simpler ones."""

from __future__ import annotations

from ..graph import Value
from ..ops import (
    Abs,
    Clamp,
    Div,
    LeakyRelu,
    LessEqual,
    Log,
    Maximum,
    Minimum,
    Mul,
    Sigmoid,
    Slice,
    Sub,
    Where,
)
from .context import Context
from .elementwise import binary
from .registry import captures


@captures("threshold")
def threshold(context: Context, x: Value, limit: float, value: float) -> Value:
    """``value`` where x is at most ``limit``; a NaN is not, and stays."""
    dtype = x.type.dtype
    low = context.add(LessEqual(), x, context.scalar(limit, dtype))
    return context.add(Where(), low, context.scalar(value, dtype), x)


@captures("hardshrink")
def hardshrink(context: Context, x: Value, limit: float) -> Value:
    """0 where |x| is at most ``limit``"""
    dtype = x.type.dtype
    near = context.add(LessEqual(), context.add(Abs(), x), context.scalar(limit, dtype))
    return context.add(Where(), near, context.scalar(0, dtype), x)


@captures("softshrink")
def softshrink(context: Context, x: Value, limit: float) -> Value:
    """What of x lies outside [-limit, limit]"""
    return context.add(Sub(), x, context.add(Clamp(-float(limit), float(limit)), x))


@captures("rrelu")
def rrelu(context: Context, x: Value, lower: float, upper: float, training: bool, *_: object) -> Value:
    """Outside of training the slope is the middle of its range."""
    if training:
        raise context.error("TP202", "rrelu with training=True draws its slopes at random", "call it in eval mode")
    return context.add(LeakyRelu((float(lower) + float(upper)) / 2), x)


@captures("glu")
def glu(context: Context, x: Value, axis: int) -> Value:
    """The first half along ``axis`` times the sigmoid of the second"""
    at = axis % x.type.rank
    size = x.type.shape[at]
    half = size // 2
    start = context.static(half, "the half that glu takes")
    first = context.add(Slice((at,), (0,), (start,), (1,)), x)
    second = context.add(Slice((at,), (start,), (size,), (1,)), x)
    return context.add(Mul(), first, context.add(Sigmoid(), second))


@captures("logit", "special_logit")
def logit(context: Context, x: Value, epsilon: float | None) -> Value:
    """log(x / (1 - x)), of x clamped to [ε, 1 - ε]"""
    dtype = context.result_dtype()
    x = context.cast(x, dtype)
    if epsilon is not None:
        x = context.add(Clamp(float(epsilon), 1 - float(epsilon)), x)
    return context.add(Log(), context.add(Div(), x, context.add(Sub(), context.scalar(1, dtype), x)))


@captures("clamp.Tensor", "clip.Tensor", "clamp_min.Tensor")
def clamp(context: Context, x: Value, minimum: Value | None, maximum: Value | None = None) -> Value:
    y = x if minimum is None else binary(context, Maximum(), x, minimum)
    return y if maximum is None else binary(context, Minimum(), y, maximum)


@captures("clamp_max.Tensor")
def clamp_max(context: Context, x: Value, maximum: Value) -> Value:
    return binary(context, Minimum(), x, maximum)
