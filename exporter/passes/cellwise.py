"""Ops that work cell by cell, computed in float64 with numpy: for tables of all that an op can be asked."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..ops import (
    Abs,
    Acos,
    Acosh,
    Activation,
    Add,
    Asin,
    Asinh,
    Atan,
    Atan2,
    Atanh,
    Ceil,
    Clamp,
    Cos,
    Cosh,
    Div,
    Elu,
    Erf,
    Exp,
    Expm1,
    Floor,
    Fmod,
    Gelu,
    HardSigmoid,
    HardSwish,
    Identity,
    LeakyRelu,
    Log,
    Log1p,
    Maximum,
    Minimum,
    Mish,
    Mul,
    Neg,
    OpAttrs,
    Pow,
    PRelu,
    Relu,
    Remainder,
    Round,
    Rsqrt,
    Selu,
    Sigmoid,
    Sign,
    Silu,
    Sin,
    Sinh,
    Softplus,
    Softsign,
    Sqrt,
    Sub,
    Tan,
    Tanh,
    Trunc,
)
from .decompose import SELU_ALPHA, SELU_SCALE

Reals = npt.NDArray[np.float64]
Function = Callable[..., Reals]

_TOP = {Activation.RELU: math.inf, Activation.RELU6: 6.0}


def _plain(function: Callable[..., Any]) -> Function:
    """A function that knows nothing of attributes."""
    return lambda op, *operands: np.asarray(function(*operands), np.float64)


def _clamped(function: Callable[..., Any]) -> Function:
    """Arithmetic with the clamp that a fused activation leaves."""

    def compute(op: Any, a: Reals, b: Reals) -> Reals:
        y = np.asarray(function(a, b), np.float64)
        return y if op.activation is Activation.NONE else np.clip(y, 0.0, _TOP[op.activation])

    return compute


def _sigmoid(x: Reals) -> Reals:
    """1 / (1 + exp(-x)); exp overflows to an infinity, whose inverse is right."""
    return np.asarray(1 / (1 + np.exp(-x)))


def _softplus(x: Reals) -> Reals:
    return np.asarray(np.logaddexp(x, 0.0))


def _hard_sigmoid(x: Reals) -> Reals:
    return np.asarray(np.clip(x + 3, 0, 6) / 6)


def _elu(x: Reals, alpha: float) -> Reals:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


_erf = np.vectorize(math.erf, otypes=[np.float64])


def _gelu(op: Any, x: Reals) -> Reals:
    if op.approximate:
        return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))
    return np.asarray(0.5 * x * (1 + _erf(x / math.sqrt(2))))


FUNCTIONS: dict[type[OpAttrs], Function] = {
    Abs: _plain(np.abs),
    Acos: _plain(np.arccos),
    Acosh: _plain(np.arccosh),
    Add: _clamped(np.add),
    Asin: _plain(np.arcsin),
    Asinh: _plain(np.arcsinh),
    Atan: _plain(np.arctan),
    Atan2: _plain(np.arctan2),
    Atanh: _plain(np.arctanh),
    Ceil: _plain(np.ceil),
    Clamp: lambda op, x: np.clip(x, op.minimum, op.maximum),
    Cos: _plain(np.cos),
    Cosh: _plain(np.cosh),
    Div: _clamped(np.true_divide),
    Elu: lambda op, x: _elu(x, op.alpha),
    Erf: _plain(_erf),
    Exp: _plain(np.exp),
    Expm1: _plain(np.expm1),
    Floor: _plain(np.floor),
    Fmod: _plain(np.fmod),
    Gelu: _gelu,
    HardSigmoid: _plain(_hard_sigmoid),
    HardSwish: _plain(lambda x: x * _hard_sigmoid(x)),
    Identity: _plain(lambda x: x),
    LeakyRelu: lambda op, x: np.where(x > 0, x, op.slope * x),
    Log: _plain(np.log),
    Log1p: _plain(np.log1p),
    Maximum: _plain(np.maximum),
    Minimum: _plain(np.minimum),
    Mish: _plain(lambda x: x * np.tanh(_softplus(x))),
    Mul: _clamped(np.multiply),
    Neg: _plain(np.negative),
    PRelu: _plain(lambda x, slope: np.where(x > 0, x, slope * x)),
    Pow: _plain(np.power),
    Relu: _plain(lambda x: np.maximum(x, 0.0)),
    Remainder: _plain(np.remainder),
    Round: _plain(np.rint),
    Rsqrt: _plain(lambda x: 1 / np.sqrt(x)),
    Selu: _plain(lambda x: SELU_SCALE * _elu(x, SELU_ALPHA)),
    Sigmoid: _plain(_sigmoid),
    Sign: _plain(np.sign),
    Silu: _plain(lambda x: x * _sigmoid(x)),
    Sin: _plain(np.sin),
    Sinh: _plain(np.sinh),
    Softplus: _plain(_softplus),
    Softsign: _plain(lambda x: x / (1 + np.abs(x))),
    Sqrt: _plain(np.sqrt),
    Sub: _clamped(np.subtract),
    Tan: _plain(np.tan),
    Tanh: _plain(np.tanh),
    Trunc: _plain(np.trunc),
}
"""op class → function of the attributes and the operands"""
