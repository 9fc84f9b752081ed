"""ATen arithmetic, with torch's type promotion made explicit as casts."""

from __future__ import annotations

import math

from ..graph import DType, Value
from ..ops import (
    Abs,
    Acos,
    Acosh,
    Add,
    Asin,
    Asinh,
    Atan,
    Atan2,
    Atanh,
    BinaryOp,
    Ceil,
    Cos,
    Cosh,
    Div,
    Equal,
    Erf,
    Exp,
    Expm1,
    Floor,
    FloorDivide,
    Fmod,
    Less,
    Log,
    Log1p,
    LogicalOr,
    Maximum,
    Minimum,
    Mul,
    Neg,
    OpAttrs,
    Pow,
    Remainder,
    Round,
    Rsqrt,
    Sign,
    Sin,
    Sinh,
    Sqrt,
    Sub,
    Tan,
    Trunc,
    Where,
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
    "sin": Sin(),
    "cos": Cos(),
    "tan": Tan(),
    "asin": Asin(),
    "acos": Acos(),
    "atan": Atan(),
    "sinh": Sinh(),
    "cosh": Cosh(),
    "asinh": Asinh(),
    "acosh": Acosh(),
    "atanh": Atanh(),
    "expm1": Expm1(),
    "log1p": Log1p(),
    "sign": Sign(),
    "arcsin": Asin(),
    "arccos": Acos(),
    "arctan": Atan(),
    "arcsinh": Asinh(),
    "arccosh": Acosh(),
    "arctanh": Atanh(),
    "absolute": Abs(),
    "negative": Neg(),
    "special_erf": Erf(),
    "special_expm1": Expm1(),
    "special_log1p": Log1p(),
}


def _register_unary(name: str, op: OpAttrs) -> None:
    @captures(name)
    def unary(context: Context, x: Value) -> Value:
        return context.add(op, context.cast(x, context.result_dtype()))


for _name, _op in _UNARY.items():
    _register_unary(_name, _op)


def _register_rounding(name: str, op: OpAttrs) -> None:
    @captures(f"{name}.default")
    def rounding(context: Context, x: Value) -> Value:
        return context.add(op, x) if x.type.dtype.is_float else x


for _name, _op in {"floor": Floor(), "ceil": Ceil(), "round": Round(), "trunc": Trunc(), "fix": Trunc()}.items():
    _register_rounding(_name, _op)


@captures("round.decimals")
def round_to(context: Context, x: Value, decimals: int) -> Value:
    """torch too scales by a power of ten, rounds, and scales back."""
    ten = context.scalar(10.0 ** abs(decimals), x.type.dtype)
    there, back = (Mul(), Div()) if decimals >= 0 else (Div(), Mul())
    return context.add(back, context.add(Round(), context.add(there, x, ten)), ten)


@captures("frac")
def fraction(context: Context, x: Value) -> Value:
    return context.add(Sub(), x, context.add(Trunc(), x))


@captures("log2")
def log2(context: Context, x: Value) -> Value:
    return _logarithm(context, x, 2.0)


@captures("log10")
def log10(context: Context, x: Value) -> Value:
    return _logarithm(context, x, 10.0)


def _logarithm(context: Context, x: Value, base: float) -> Value:
    dtype = context.result_dtype()
    return context.add(Mul(), context.add(Log(), context.cast(x, dtype)), context.scalar(1 / math.log(base), dtype))


@captures("exp2", "special_exp2")
def exp2(context: Context, x: Value) -> Value:
    return binary(context, Pow(), 2.0, x)


@captures("deg2rad")
def deg2rad(context: Context, x: Value) -> Value:
    return binary(context, Mul(), x, math.pi / 180)


@captures("rad2deg")
def rad2deg(context: Context, x: Value) -> Value:
    return binary(context, Mul(), x, 180 / math.pi)


def operand(context: Context, value: Value | Number, dtype: DType) -> Value:
    """A tensor or a number in a dtype."""
    return context.cast(value, dtype) if isinstance(value, Value) else context.scalar(value, dtype)


def binary(context: Context, op: BinaryOp, a: Value | Number, b: Value | Number) -> Value:
    """``op`` on two operands brought to the dtype torch computes in; small integers and bools by way of int32."""
    dtype = context.result_dtype()
    if dtype in (DType.BOOL, DType.INT8, DType.UINT8, DType.INT16):
        wide = context.add(op, operand(context, a, DType.INT32), operand(context, b, DType.INT32))
        return context.cast(wide, dtype)
    return context.add(op, operand(context, a, dtype), operand(context, b, dtype))


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


@captures("div.Tensor_mode", "div.Scalar_mode")
def div_mode(context: Context, a: Value, b: Value | Number, mode: str | None) -> Value:
    if mode is None:
        return binary(context, Div(), a, b)
    if mode == "floor":
        return binary(context, FloorDivide(), a, b)
    quotient = binary(context, Div(), a, b)
    return context.add(Trunc(), quotient) if quotient.type.dtype.is_float else quotient


@captures("floor_divide")
def floor_divide(context: Context, a: Value, b: Value | Number) -> Value:
    return binary(context, FloorDivide(), a, b)


@captures("remainder")
def remainder(context: Context, a: Value | Number, b: Value | Number) -> Value:
    return binary(context, Remainder(), a, b)


@captures("fmod")
def fmod(context: Context, a: Value, b: Value | Number) -> Value:
    return binary(context, Fmod(), a, b)


@captures("atan2", "arctan2")
def atan2(context: Context, a: Value, b: Value) -> Value:
    return binary(context, Atan2(), a, b)


@captures("addcmul")
def addcmul(context: Context, x: Value, a: Value, b: Value, value: Number) -> Value:
    return binary(context, Add(), x, _scaled(context, binary(context, Mul(), a, b), value))


@captures("addcdiv")
def addcdiv(context: Context, x: Value, a: Value, b: Value, value: Number) -> Value:
    return binary(context, Add(), x, _scaled(context, binary(context, Div(), a, b), value))


@captures("lerp")
def lerp(context: Context, a: Value, b: Value, weight: Value | Number) -> Value:
    return binary(context, Add(), a, binary(context, Mul(), binary(context, Sub(), b, a), weight))


@captures("hypot")
def hypot(context: Context, a: Value, b: Value) -> Value:
    """The longer leg times sqrt(1 + ratio²): the squares do not overflow."""
    dtype = context.result_dtype()
    legs = [context.add(Abs(), context.cast(leg, dtype)) for leg in (a, b)]
    longer, shorter = context.add(Maximum(), *legs), context.add(Minimum(), *legs)
    flat = context.add(LogicalOr(), *(context.add(Equal(), longer, context.scalar(n, dtype)) for n in (0, math.inf)))
    ratio = context.add(Where(), flat, context.scalar(0, dtype), context.add(Div(), shorter, longer))
    one = context.scalar(1, dtype)
    root = context.add(Sqrt(), context.add(Add(), context.add(Mul(), ratio, ratio), one))
    return context.add(Mul(), longer, root)


@captures("xlogy", "special_xlogy")
def xlogy(context: Context, a: Value | Number, b: Value | Number) -> Value:
    """a log(b), and 0 where a is 0, even if b is 0."""
    dtype = context.result_dtype()
    factor, zero = operand(context, a, dtype), context.scalar(0, dtype)
    product = context.add(Mul(), factor, context.add(Log(), operand(context, b, dtype)))
    return context.add(Where(), context.add(Equal(), factor, zero), zero, product)


@captures("logaddexp")
def logaddexp(context: Context, a: Value, b: Value) -> Value:
    dtype = context.result_dtype()
    return log_add_exp(context, context.cast(a, dtype), context.cast(b, dtype))


def log_add_exp(context: Context, a: Value, b: Value) -> Value:
    """max(a, b) + log1p(exp(-|a - b|)), and the larger one where both are the same infinity."""
    apart = context.add(Neg(), context.add(Abs(), context.add(Sub(), a, b)))
    apart = context.add(Where(), context.add(Equal(), a, b), context.scalar(0, a.type.dtype), apart)
    return context.add(Add(), context.add(Maximum(), a, b), context.add(Log1p(), context.add(Exp(), apart)))


@captures("erfc", "special_erfc")
def erfc(context: Context, x: Value) -> Value:
    """1 - erf(x): exact to float32's steps around 1"""
    dtype = context.result_dtype()
    return context.add(Sub(), context.scalar(1, dtype), context.add(Erf(), context.cast(x, dtype)))


@captures("copysign")
def copysign(context: Context, a: Value, b: Value | Number) -> Value:
    """-0 counts as below zero: 1 / -0 is."""
    dtype = context.result_dtype()
    sign, size = operand(context, b, dtype), context.add(Abs(), context.cast(a, dtype))
    zero = context.scalar(0, dtype)
    inverse = context.add(Div(), context.scalar(1, dtype), sign)
    below = context.add(LogicalOr(), context.add(Less(), sign, zero), context.add(Less(), inverse, zero))
    return context.add(Where(), below, context.add(Neg(), size), size)


@captures("signbit")
def signbit(context: Context, x: Value) -> Value:
    dtype = x.type.dtype
    below = context.add(Less(), x, context.scalar(0, dtype))
    if not dtype.is_float:
        return below
    inverse = context.add(Div(), context.scalar(1, dtype), x)
    return context.add(LogicalOr(), below, context.add(Less(), inverse, context.scalar(0, dtype)))


@captures("heaviside")
def heaviside(context: Context, x: Value, at_zero: Value) -> Value:
    dtype = context.result_dtype()
    zero = context.scalar(0, dtype)
    above = context.cast(context.add(Less(), zero, x), dtype)
    return context.add(Where(), context.add(Equal(), x, zero), at_zero, above)


@captures("div.Tensor", "div.Scalar", "divide.Tensor", "true_divide")
def div(context: Context, a: Value, b: Value | Number) -> Value:
    return binary(context, Div(), a, b)


@captures("maximum", "max.other")
def maximum(context: Context, a: Value, b: Value) -> Value:
    return binary(context, Maximum(), a, b)


@captures("minimum", "min.other")
def minimum(context: Context, a: Value, b: Value) -> Value:
    return binary(context, Minimum(), a, b)


@captures("pow.Tensor_Scalar", "pow.Tensor_Tensor", "pow.Scalar")
def power(context: Context, a: Value | Number, b: Value | Number) -> Value:
    if not isinstance(b, Value) and b == 2:
        return binary(context, Mul(), a, a)
    if isinstance(a, Value) and not isinstance(b, Value) and b == 0.5:
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
