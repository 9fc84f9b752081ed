"""Decompositions of arithmetic and logic; the same rules as in decompose.py.

Both `Remainder` and `Fmod` are written with the other one, and so are bits with sums: a target spells at least one of
them. What a choice does not take may be NaN or infinite: `Where` lets nothing of it through.
"""

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
    BitwiseAnd,
    BitwiseOr,
    BitwiseXor,
    Cast,
    Cos,
    Cosh,
    Div,
    Equal,
    Exp,
    Expm1,
    Floor,
    FloorDivide,
    Fmod,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Log,
    Log1p,
    LogicalAnd,
    LogicalNot,
    LogicalOr,
    LogicalXor,
    Maximum,
    Minimum,
    Mish,
    Mul,
    Neg,
    NotEqual,
    OpAttrs,
    Relu,
    Remainder,
    Round,
    Sign,
    Sin,
    Sinh,
    Softplus,
    Sqrt,
    Sub,
    Tan,
    Tanh,
    Trunc,
    Where,
)
from .decompose import Rewriter, decomposes


def _choose(r: Rewriter, condition: Value, a: Value | float, b: Value | float) -> Value:
    """a or b, numbers in x's dtype."""
    pair = [value if isinstance(value, Value) else r.number(value) for value in (a, b)]
    return r(Where(), condition, *pair)


@decomposes(Neg)
def _neg(r: Rewriter, op: OpAttrs) -> Value:
    return r(Sub(), 0, r.x)


@decomposes(Abs)
def _abs(r: Rewriter, op: OpAttrs) -> Value:
    return r(Maximum(), r.x, r(Neg(), r.x))


@decomposes(Sign)
def _sign(r: Rewriter, op: OpAttrs) -> Value:
    """Of integers: they are cut off at -1 and 1."""
    return r(Minimum(), r(Maximum(), r.x, -1), 1)


@decomposes(Trunc)
def _trunc(r: Rewriter, op: OpAttrs) -> Value:
    """The floor of the size, with the sign put back."""
    size = r(Floor(), r(Abs(), r.x))
    return _choose(r, r(Less(), r.x, 0.0), r(Neg(), size), size)


@decomposes(Tan)
def _tan(r: Rewriter, op: OpAttrs) -> Value:
    return r(Div(), r(Sin(), r.x), r(Cos(), r.x))


def _leg(r: Rewriter) -> Value:
    """sqrt(1 - x²)"""
    return r(Sqrt(), r(Mul(), r(Sub(), 1.0, r.x), r(Add(), r.x, 1.0)))


@decomposes(Asin)
def _asin(r: Rewriter, op: OpAttrs) -> Value:
    return r(Atan2(), r.x, _leg(r))


@decomposes(Acos)
def _acos(r: Rewriter, op: OpAttrs) -> Value:
    return r(Atan2(), _leg(r), r.x)


@decomposes(Atan)
def _atan(r: Rewriter, op: OpAttrs) -> Value:
    return r(Atan2(), r.x, 1.0)


@decomposes(Atan2)
def _atan2(r: Rewriter, op: OpAttrs) -> Value:
    """atan of the shorter leg over the longer one, an angle of at most π/4, carried to its octant."""
    y, x = r.node.inputs
    width, height = r(Abs(), x), r(Abs(), y)
    ratio = r(Div(), r(Minimum(), width, height), r(Maximum(), width, height))
    ratio = _choose(r, r(Equal(), width, height), 1.0, ratio)  # both may be infinite
    angle = r(Atan(), ratio)
    angle = _choose(r, r(Greater(), height, width), r(Sub(), math.pi / 2, angle), angle)
    origin = r(Equal(), r(Maximum(), width, height), 0.0)
    angle = _choose(r, origin, 0.0, angle)
    angle = _choose(r, r(Less(), x, 0.0), r(Sub(), math.pi, angle), angle)
    return _choose(r, r(Less(), y, 0.0), r(Neg(), angle), angle)


@decomposes(Cosh)
def _cosh(r: Rewriter, op: OpAttrs) -> Value:
    """With h = exp(|x| / 2): (h² + 1 / h²) / 2, where h does not overflow before the result."""
    half = r(Exp(), r(Mul(), r(Abs(), r.x), 0.5))
    grown = r(Mul(), r(Mul(), half, 0.5), half)
    return r(Add(), grown, r(Div(), r(Div(), 0.5, half), half))


@decomposes(Sinh)
def _sinh(r: Rewriter, op: OpAttrs) -> Value:
    return r(Mul(), r(Tanh(), r.x), r(Cosh(), r.x))


@decomposes(Asinh)
def _asinh(r: Rewriter, op: OpAttrs) -> Value:
    """With a = |x|: log1p(a + a² / (1 + sqrt(1 + a²))), the square taken of at most 1e18."""
    size = r(Abs(), r.x)
    bounded = r(Minimum(), size, 1e18)
    root = r(Sqrt(), r(Add(), r(Mul(), bounded, bounded), 1.0))
    tail = r(Mul(), size, r(Div(), bounded, r(Add(), root, 1.0)))
    result = r(Log1p(), r(Add(), size, tail))
    return _choose(r, r(Less(), r.x, 0.0), r(Neg(), result), result)


@decomposes(Acosh)
def _acosh(r: Rewriter, op: OpAttrs) -> Value:
    """With d = x - 1: log1p(d + sqrt(d) sqrt(x + 1))"""
    above = r(Sub(), r.x, 1.0)
    roots = r(Mul(), r(Sqrt(), above), r(Sqrt(), r(Add(), r.x, 1.0)))
    return r(Log1p(), r(Add(), above, roots))


@decomposes(Atanh)
def _atanh(r: Rewriter, op: OpAttrs) -> Value:
    """log1p(2 a / (1 - a)) / 2 of a = |x|, with the sign put back"""
    size = r(Abs(), r.x)
    result = r(Mul(), r(Log1p(), r(Div(), r(Add(), size, size), r(Sub(), 1.0, size))), 0.5)
    return _choose(r, r(Less(), r.x, 0.0), r(Neg(), result), result)


@decomposes(Expm1)
def _expm1(r: Rewriter, op: OpAttrs) -> Value:
    """tanh(x / 2) (exp(x) + 1): no digits cancel."""
    return r(Mul(), r(Tanh(), r(Mul(), r.x, 0.5)), r(Add(), r(Exp(), r.x), 1.0))


_TWICE_ATANH = (2.00000001, 0.66666322, 0.40024595, 0.27965158, 0.28157778)
"""c with 2 atanh(s) ≈ s (c₀ + c₁ s² + c₂ s⁴ + …) for |s| ≤ 1/3, to 5e-9 of the value.

Interpolated in s² at Chebyshev's points.
"""


def _log1p_to_one(r: Rewriter, x: Value) -> Value:
    """log(1 + x) = 2 atanh(x / (2 + x)) of x in [-0.5, 1], exact to the last digits where x is tiny as well."""
    share = r(Div(), x, r(Add(), x, 2.0))
    square = r(Mul(), share, share)
    series: Value | float = _TWICE_ATANH[-1]
    for coefficient in reversed(_TWICE_ATANH[:-1]):
        series = r(Add(), r(Mul(), square, series), coefficient)
    return r(Mul(), share, series)


@decomposes(Log1p)
def _log1p(r: Rewriter, op: OpAttrs) -> Value:
    """Near 0 the series, since runtimes' log loses digits near 1."""
    near = r(Less(), r(Abs(), r.x), 0.3)
    return _choose(r, near, _log1p_to_one(r, r.x), r(Log(), r(Add(), r.x, 1.0)))


@decomposes(Softplus)
def _softplus(r: Rewriter, op: OpAttrs) -> Value:
    """relu(x) + log1p(exp(-|x|)): nothing overflows, and far below 0 it is exp(x), where log(1 + exp(x)) would be 0."""
    return r(Add(), r(Relu(), r.x), _log1p_to_one(r, r(Exp(), r(Neg(), r(Abs(), r.x)))))


@decomposes(Mish)
def _mish(r: Rewriter, op: OpAttrs) -> Value:
    """With e = exp(x), tanh(log(1 + e)) = n / (n + 2) of n = e (e + 2); beyond 20 it is 1."""
    grown = r(Exp(), r(Minimum(), r.x, 20.0))
    n = r(Mul(), grown, r(Add(), grown, 2.0))
    return r(Mul(), r.x, r(Div(), n, r(Add(), n, 2.0)))


@decomposes(Fmod)
def _fmod(r: Rewriter, op: OpAttrs) -> Value:
    a, b = r.node.inputs
    size = r(Remainder(), r(Abs(), a), r(Abs(), b))
    return _choose(r, r(Less(), a, 0), r(Neg(), size), size)


@decomposes(Remainder)
def _remainder(r: Rewriter, op: OpAttrs) -> Value:
    """fmod, moved by b where its sign is not that of b."""
    b = r.node.inputs[1]
    rest = r(Fmod(), r.x, b)
    astray = r(LogicalXor(), r(Less(), rest, 0), r(Less(), b, 0))
    return _choose(r, r(LogicalAnd(), astray, r(NotEqual(), rest, 0)), r(Add(), rest, b), rest)


@decomposes(FloorDivide)
def _floor_divide(r: Rewriter, op: OpAttrs) -> Value:
    """What divides without a rest is divided; floats are brought to the whole number that rounding missed."""
    b = r.node.inputs[1]
    quotient = r(Div(), r(Sub(), r.x, r(Remainder(), r.x, b)), b)
    if not r.x.type.dtype.is_float:
        return quotient
    return _choose(r, r(Equal(), b, 0.0), r(Div(), r.x, b), r(Round(), quotient))


@decomposes(NotEqual)
def _not_equal(r: Rewriter, op: OpAttrs) -> Value:
    return r(LogicalNot(), r(Equal(), *r.node.inputs))


@decomposes(Greater)
def _greater(r: Rewriter, op: OpAttrs) -> Value:
    a, b = r.node.inputs
    return r(Less(), b, a)


@decomposes(GreaterEqual)
def _greater_equal(r: Rewriter, op: OpAttrs) -> Value:
    a, b = r.node.inputs
    return r(LessEqual(), b, a)


@decomposes(BitwiseAnd)
def _bitwise_and(r: Rewriter, op: OpAttrs) -> Value:
    """a + b = (a ^ b) + 2 (a & b), on halves so that the sum fits; then the lowest bit."""
    a, b = r.node.inputs
    half_a, half_b = r(FloorDivide(), a, 2), r(FloorDivide(), b, 2)
    twice = r(Sub(), r(Add(), half_a, half_b), r(BitwiseXor(), half_a, half_b))
    last = r(Mul(), r(Sub(), a, r(Mul(), half_a, 2)), r(Sub(), b, r(Mul(), half_b, 2)))
    return r(Add(), twice, last)


@decomposes(BitwiseOr)
def _bitwise_or(r: Rewriter, op: OpAttrs) -> Value:
    a, b = r.node.inputs
    return r(Add(), r(BitwiseXor(), a, b), r(BitwiseAnd(), a, b))


@decomposes(Where)
def _where(r: Rewriter, op: OpAttrs) -> Value | None:
    """Between bools: (condition and a) or (not condition and b)."""
    condition, a, b = r.node.inputs
    if a.type.dtype is not DType.BOOL:
        return None
    return r(LogicalOr(), r(LogicalAnd(), condition, a), r(LogicalAnd(), r(LogicalNot(), condition), b))


@decomposes(Cast)
def _cast(r: Rewriter, op: OpAttrs) -> Value | None:
    """By way of int32."""
    if DType.INT32 in (r.x.type.dtype, r.node.output.type.dtype):
        return None
    return r(op, r(Cast(DType.INT32), r.x))
