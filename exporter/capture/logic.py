"""ATen comparisons, logic, bits and choice."""

from __future__ import annotations

import math

import torch

from ..graph import DType, Value
from ..ops import (
    Abs,
    BitwiseAnd,
    BitwiseOr,
    BitwiseXor,
    Cast,
    CompareOp,
    Equal,
    FloorDivide,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    LogicalAnd,
    LogicalNot,
    LogicalOr,
    LogicalXor,
    Mul,
    NotEqual,
    OpAttrs,
    Pow,
    ReduceSum,
    Sub,
    Where,
)
from .context import Context
from .elementwise import Number, binary, operand
from .registry import captures

COMPARED = (DType.FLOAT32, DType.FLOAT16, DType.INT32, DType.INT64)
"""Dtypes that every port compares; the others go by way of int32."""


def promoted(*operands: Value | Number) -> DType:
    """The dtype torch computes several operands in, before the op itself says otherwise."""
    tensors = [v for v in operands if isinstance(v, Value)]
    stand_ins = [torch.empty([1] * v.type.rank, dtype=getattr(torch, v.type.dtype.value)) for v in tensors]
    result = stand_ins[0]
    for other in [*stand_ins[1:], *(v for v in operands if not isinstance(v, Value))]:
        result = torch.empty([1] * result.dim(), dtype=torch.result_type(result, other))
    return DType(str(result.dtype).removeprefix("torch."))


def compare(context: Context, op: CompareOp, a: Value | Number, b: Value | Number) -> Value:
    """``op`` on operands brought to one dtype that every port compares."""
    dtype = promoted(a, b)
    if dtype not in COMPARED:
        dtype = DType.INT32
    return context.add(op, operand(context, a, dtype), operand(context, b, dtype))


def truth(context: Context, x: Value) -> Value:
    """Whether cells are not zero."""
    return x if x.type.dtype is DType.BOOL else compare(context, NotEqual(), x, 0)


_COMPARISONS: dict[str, CompareOp] = {
    "eq": Equal(),
    "ne": NotEqual(),
    "lt": Less(),
    "le": LessEqual(),
    "gt": Greater(),
    "ge": GreaterEqual(),
    "not_equal": NotEqual(),
    "less": Less(),
    "less_equal": LessEqual(),
    "greater": Greater(),
    "greater_equal": GreaterEqual(),
}


def _register_comparison(name: str, op: CompareOp) -> None:
    @captures(name)
    def comparison(context: Context, a: Value, b: Value | Number) -> Value:
        return context.cast(compare(context, op, a, b), context.result_dtype())


def _register_logic(name: str, op: OpAttrs) -> None:
    @captures(name)
    def logic(context: Context, a: Value, b: Value) -> Value:
        return context.add(op, truth(context, a), truth(context, b))


def _register_bits(name: str, bits: OpAttrs, logic: OpAttrs) -> None:
    @captures(name, f"__{name.removeprefix('bitwise_')}__")
    def bitwise(context: Context, a: Value | Number, b: Value | Number) -> Value:
        dtype = context.result_dtype()
        return context.add(
            logic if dtype is DType.BOOL else bits, operand(context, a, dtype), operand(context, b, dtype)
        )


for _name, _comparison in _COMPARISONS.items():
    _register_comparison(_name, _comparison)
for _name, _logic in {"logical_and": LogicalAnd(), "logical_or": LogicalOr(), "logical_xor": LogicalXor()}.items():
    _register_logic(_name, _logic)
for _name, _bits, _bools in (
    ("bitwise_and", BitwiseAnd(), LogicalAnd()),
    ("bitwise_or", BitwiseOr(), LogicalOr()),
    ("bitwise_xor", BitwiseXor(), LogicalXor()),
):
    _register_bits(_name, _bits, _bools)


@captures("logical_not")
def logical_not(context: Context, x: Value) -> Value:
    if x.type.dtype is DType.BOOL:
        return context.add(LogicalNot(), x)
    return compare(context, Equal(), x, 0)


@captures("bitwise_not")
def bitwise_not(context: Context, x: Value) -> Value:
    """-1 - x, which is 255 - x for bytes without a sign."""
    if x.type.dtype is DType.BOOL:
        return context.add(LogicalNot(), x)
    ones = 255 if x.type.dtype is DType.UINT8 else -1
    return context.add(Sub(), context.scalar(ones, x.type.dtype), x)


@captures("bitwise_left_shift", "__lshift__")
def shift_left(context: Context, a: Value | Number, b: Value | Number) -> Value:
    return binary(context, Mul(), a, _power_of_two(context, b))


@captures("bitwise_right_shift", "__rshift__")
def shift_right(context: Context, a: Value | Number, b: Value | Number) -> Value:
    return binary(context, FloorDivide(), a, _power_of_two(context, b))


def _power_of_two(context: Context, b: Value | Number) -> Value | Number:
    if not isinstance(b, Value):
        return 2**b
    dtype = context.result_dtype()
    return context.add(Pow(), context.scalar(2, dtype), context.cast(b, dtype))


@captures("isnan")
def is_nan(context: Context, x: Value) -> Value:
    return compare(context, NotEqual(), x, x)


@captures("isinf")
def is_infinite(context: Context, x: Value) -> Value:
    if not x.type.dtype.is_float:
        return compare(context, NotEqual(), x, x)
    return compare(context, Equal(), context.add(Abs(), x), math.inf)


@captures("isfinite")
def is_finite(context: Context, x: Value) -> Value:
    if not x.type.dtype.is_float:
        return compare(context, Equal(), x, x)
    return compare(context, Less(), context.add(Abs(), x), math.inf)


@captures("isposinf")
def is_positive_infinite(context: Context, x: Value) -> Value:
    return compare(context, Equal(), x, math.inf)


@captures("isneginf")
def is_negative_infinite(context: Context, x: Value) -> Value:
    return compare(context, Equal(), x, -math.inf)


def choose(context: Context, condition: Value, a: Value | Number, b: Value | Number) -> Value:
    """a where the condition holds, else b, in the dtype torch gives the result."""
    dtype = context.result_dtype()
    return context.add(Where(), truth(context, condition), operand(context, a, dtype), operand(context, b, dtype))


@captures("where.self", "where.ScalarSelf", "where.ScalarOther", "where.Scalar")
def where(context: Context, condition: Value, a: Value | Number, b: Value | Number) -> Value:
    return choose(context, condition, a, b)


@captures("masked_fill")
def masked_fill(context: Context, x: Value, mask: Value, value: Value | Number) -> Value:
    return choose(context, mask, value, x)


@captures("nan_to_num")
def nan_to_num(context: Context, x: Value, nan: float | None, above: float | None, below: float | None) -> Value:
    if not x.type.dtype.is_float:
        return x
    limits = torch.finfo(getattr(torch, x.type.dtype.value))
    high, low = limits.max if above is None else above, limits.min if below is None else below
    y = choose(context, compare(context, Equal(), x, math.inf), high, x)
    y = choose(context, compare(context, Equal(), x, -math.inf), low, y)
    return choose(context, compare(context, NotEqual(), x, x), nan or 0.0, y)


@captures("count_nonzero", "count_nonzero.dim_IntList")
def count_nonzero(context: Context, x: Value, axes: list[int] | int | None = None) -> Value:
    listed = range(x.type.rank) if axes is None else [axes] if isinstance(axes, int) else axes
    ordered = tuple(sorted({axis % x.type.rank for axis in listed})) if x.type.rank else ()
    return context.add(ReduceSum(ordered, False), context.add(Cast(DType.INT64), truth(context, x)))
