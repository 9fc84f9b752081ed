"""ATen activation functions."""

from __future__ import annotations

import math

import numpy as np

from ..graph import Value
from ..ops import (
    Clamp,
    Elu,
    Gelu,
    Greater,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    LogSoftmax,
    Maximum,
    Minimum,
    Mish,
    Mul,
    OpAttrs,
    PRelu,
    Relu,
    Reshape,
    Selu,
    Sigmoid,
    Silu,
    Softmax,
    Softplus,
    Tanh,
    Where,
)
from .context import Context
from .registry import captures

FLOAT32_HIDES = 15.0
"""From here on softplus(x) is x to float32: log(1 + exp(-15)) / 15 is 2e-8."""

_PLAIN: dict[str, OpAttrs] = {
    "relu": Relu(),
    "relu6": Clamp(0.0, 6.0),
    "selu": Selu(),
    "sigmoid": Sigmoid(),
    "hardsigmoid": HardSigmoid(),
    "hardswish": HardSwish(),
    "silu": Silu(),
    "tanh": Tanh(),
    "mish": Mish(),
}


def _register_plain(name: str, op: OpAttrs) -> None:
    @captures(name)
    def plain(context: Context, x: Value) -> Value:
        dtype = context.result_dtype()
        if isinstance(op, Relu) and not dtype.is_float:
            return context.add(Maximum(), x, context.scalar(0, dtype))
        return context.add(op, context.cast(x, dtype))


for _name, _op in _PLAIN.items():
    _register_plain(_name, _op)


@captures("hardtanh")
def hardtanh(context: Context, x: Value, minimum: float, maximum: float) -> Value:
    return context.add(Clamp(float(minimum), float(maximum)), x)


@captures("clamp.default", "clamp_min.default", "clip.default")
def clamp(context: Context, x: Value, minimum: float | None, maximum: float | None = None) -> Value:
    return _clamp(context, x, minimum, maximum)


def _clamp(context: Context, x: Value, minimum: float | None, maximum: float | None) -> Value:
    """Integers keep to their own dtype's bounds; a float bound makes floats of them, as in torch."""
    dtype = context.result_dtype()
    x = context.cast(x, dtype)
    if not dtype.is_float:
        if minimum is not None:
            x = context.add(Maximum(), x, context.scalar(minimum, dtype))
        return x if maximum is None else context.add(Minimum(), x, context.scalar(maximum, dtype))
    low = -math.inf if minimum is None else float(minimum)
    high = math.inf if maximum is None else float(maximum)
    return context.add(Relu() if (low, high) == (0, math.inf) else Clamp(low, high), x)


@captures("clamp_max.default")
def clamp_max(context: Context, x: Value, maximum: float) -> Value:
    return _clamp(context, x, None, maximum)


@captures("leaky_relu")
def leaky_relu(context: Context, x: Value, slope: float) -> Value:
    return context.add(LeakyRelu(float(slope)), x)


@captures("prelu")
def prelu(context: Context, x: Value, weight: Value) -> Value:
    """torch's slope, [C] or [1] or [], runs along axis 1."""
    channels = weight.type.elements
    along = (1, channels, *[1] * (x.type.rank - 2)) if x.type.rank > 1 else (channels,) * x.type.rank
    if (channels == 1 and weight.type.rank <= x.type.rank) or weight.type.shape == along:
        return context.add(PRelu(), x, weight)
    if weight.is_constant:
        slope = context.constant(np.reshape(weight.array(), weight.type.with_shape(along).static_shape()), weight.name)
    else:
        slope = context.add(Reshape(along), weight)
    return context.add(PRelu(), x, slope)


@captures("elu")
def elu(context: Context, x: Value, alpha: float, scale: float, input_scale: float) -> Value:
    if scale != 1 or input_scale != 1:
        raise context.error("TP202", "elu with scale or input_scale other than 1", "multiply explicitly, or use selu")
    return context.add(Elu(float(alpha)), x)


@captures("gelu")
def gelu(context: Context, x: Value, approximate: str) -> Value:
    return context.add(Gelu(approximate == "tanh"), x)


@captures("softplus")
def softplus(context: Context, x: Value, beta: float, threshold: float) -> Value:
    """log(1 + exp(beta x)) / beta; where beta x lies above ``threshold`` torch returns x itself."""
    dtype = x.type.dtype
    scaled = x if beta == 1 else context.add(Mul(), x, context.scalar(beta, dtype))
    y = context.add(Softplus(), scaled)
    if beta != 1:
        y = context.add(Mul(), y, context.scalar(1 / beta, dtype))
    if threshold >= FLOAT32_HIDES:
        return y
    return context.add(Where(), context.add(Greater(), scaled, context.scalar(threshold, dtype)), x, y)


@captures("softmax.int", "_softmax")
def softmax(context: Context, x: Value, axis: int, dtype: object) -> Value:
    return _along_axis(context, Softmax, x, axis)


@captures("log_softmax.int", "_log_softmax")
def log_softmax(context: Context, x: Value, axis: int, dtype: object) -> Value:
    return _along_axis(context, LogSoftmax, x, axis)


def _along_axis(context: Context, op: type[Softmax | LogSoftmax], x: Value, axis: int) -> Value:
    """A number alone is an axis of one cell."""
    x = context.cast(x, context.result_dtype())
    if x.type.rank:
        return context.add(op(axis % x.type.rank), x)
    return context.add(Reshape(()), context.add(op(0), context.add(Reshape((1,)), x)))


@captures("log_sigmoid")
def log_sigmoid(context: Context, x: Value) -> Value:
    """log(sigmoid(x)) = -softplus(-x)"""
    minus = context.scalar(-1, x.type.dtype)
    return context.add(Mul(), context.add(Softplus(), context.add(Mul(), x, minus)), minus)


@captures("celu")
def celu(context: Context, x: Value, alpha: float) -> Value:
    """max(0, x) + min(0, alpha (exp(x / alpha) - 1)) = alpha * elu(x / alpha)"""
    dtype = x.type.dtype
    scaled = context.add(Elu(1.0), context.add(Mul(), x, context.scalar(1 / alpha, dtype)))
    return context.add(Mul(), scaled, context.scalar(alpha, dtype))
