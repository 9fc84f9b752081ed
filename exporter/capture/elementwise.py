"""ATen arithmetic, with torch's type promotion made explicit as casts."""

from __future__ import annotations

from ..graph import DType, Value
from ..ops import (
    Abs,
    Add,
    BinaryOp,
    Div,
    Erf,
    Exp,
    Log,
    Maximum,
    Minimum,
    Mul,
    Neg,
    OpAttrs,
    Pow,
    Rsqrt,
    Sqrt,
    Sub,
)
from .context import Context
from .registry import captures

Number = float | int | bool

_UNARY: dict[str, OpAttrs] = {
    "exp": Exp(),
    "log": Log(),
    "sqrt": Sqrt(),
    "rsqrt": Rsqrt(),
    "neg": Neg(),
    "abs": Abs(),
    "erf": Erf(),
}


def _register_unary(name: str, op: OpAttrs) -> None:
    @captures(name)
    def unary(context: Context, x: Value) -> Value:
        return context.add(op, context.cast(x, context.result_dtype()))


for _name, _op in _UNARY.items():
    _register_unary(_name, _op)


def _operand(context: Context, value: Value | Number, dtype: DType) -> Value:
    return context.cast(value, dtype) if isinstance(value, Value) else context.scalar(value, dtype)


def binary(context: Context, op: BinaryOp, a: Value | Number, b: Value | Number) -> Value:
    """``op`` on two operands brought to the dtype torch computes in."""
    dtype = context.result_dtype()
    return context.add(op, _operand(context, a, dtype), _operand(context, b, dtype))


@captures("add")
def add(context: Context, a: Value, b: Value | Number, alpha: Number) -> Value:
    return binary(context, Add(), a, _scaled(context, b, alpha))


@captures("sub")
def sub(context: Context, a: Value, b: Value | Number, alpha: Number) -> Value:
    return binary(context, Sub(), a, _scaled(context, b, alpha))


@captures("rsub")
def rsub(context: Context, a: Value, b: Value | Number, alpha: Number) -> Value:
    return binary(context, Sub(), b, _scaled(context, a, alpha))


def _scaled(context: Context, value: Value | Number, alpha: Number) -> Value | Number:
    if alpha == 1:
        return value
    return binary(context, Mul(), value, alpha) if isinstance(value, Value) else value * alpha


@captures("mul")
def mul(context: Context, a: Value, b: Value | Number) -> Value:
    return binary(context, Mul(), a, b)


@captures("div.Tensor", "div.Scalar")
def div(context: Context, a: Value, b: Value | Number) -> Value:
    return binary(context, Div(), a, b)


@captures("maximum", "max.other")
def maximum(context: Context, a: Value, b: Value) -> Value:
    return binary(context, Maximum(), a, b)


@captures("minimum", "min.other")
def minimum(context: Context, a: Value, b: Value) -> Value:
    return binary(context, Minimum(), a, b)


@captures("pow.Tensor_Scalar", "pow.Tensor_Tensor")
def power(context: Context, a: Value, b: Value | Number) -> Value:
    if not isinstance(b, Value) and b == 2:
        return binary(context, Mul(), a, a)
    if not isinstance(b, Value) and b == 0.5:
        return context.add(Sqrt(), context.cast(a, context.result_dtype()))
    return binary(context, Pow(), a, b)


@captures("square")
def square(context: Context, a: Value) -> Value:
    return context.add(Mul(), a, a)


@captures("reciprocal")
def reciprocal(context: Context, a: Value) -> Value:
    return binary(context, Div(), 1.0, a)


@captures("to", "_to_copy", "type_as")
def to_dtype(context: Context, x: Value, *_: object) -> Value:
    """The device is of no concern here; only a change of dtype is kept."""
    return context.cast(x, context.result_dtype())


@captures("clone", "contiguous", "detach", "alias", "lift_fresh_copy", "lift_fresh")
def same(context: Context, x: Value, *rest: object) -> Value:
    """Copies and memory formats change no value."""
    return x


@captures("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
def dropout(context: Context, x: Value, rate: float, training: bool) -> Value:
    if training and rate > 0:
        raise context.error(
            "TP202",
            "dropout is active in eval mode, so every call answers otherwise",
            "pass training=self.training to F.dropout, or use nn.Dropout",
        )
    return x
