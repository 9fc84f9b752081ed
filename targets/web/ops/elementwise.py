"""Arithmetic cell by cell."""

from __future__ import annotations

import numpy as np

from ....exporter.graph import DType, Node, Value
from ....exporter.ops import (
    Abs,
    Add,
    Atan2,
    Cast,
    Ceil,
    Cos,
    Div,
    Erf,
    Exp,
    Expm1,
    Floor,
    Fmod,
    Identity,
    Log,
    Log1p,
    Maximum,
    Minimum,
    Mul,
    Neg,
    OpAttrs,
    Pow,
    Round,
    Rsqrt,
    Sign,
    Sin,
    Sqrt,
    Sub,
    Trunc,
)
from ...emit import Refusal
from ..dtypes import device_dtype
from ..emitters import BOUNDS, emits, floats_only
from ..plan import Argument
from ..writer import Writer
from .activation import unary
from .broadcast import broadcast_table

UNARY: dict[type[OpAttrs], str] = {
    Abs: "abs",
    Ceil: "ceil",
    Cos: "cos",
    Erf: "erf",
    Exp: "exp",
    Expm1: "expm1",
    Floor: "floor",
    Log: "log",
    Log1p: "log1p",
    Neg: "neg",
    Round: "round",
    Rsqrt: "rsqrt",
    Sign: "sign",
    Sin: "sin",
    Sqrt: "sqrt",
    Trunc: "trunc",
}

ARITHMETIC: dict[type[OpAttrs], str] = {Add: "add", Sub: "sub", Mul: "mul", Div: "div"}
_CHOICE: dict[type[OpAttrs], str] = {Maximum: "maximum", Minimum: "minimum", Fmod: "fmod"}

_CASTS = {
    (DType.FLOAT32, DType.INT32): "cast_f32_i32",
    (DType.FLOAT32, DType.UINT8): "cast_f32_u8",
    (DType.FLOAT32, DType.BOOL): "cast_f32_bool",
    (DType.INT32, DType.FLOAT32): "cast_i32_f32",
    (DType.INT32, DType.UINT8): "cast_i32_u8",
    (DType.INT32, DType.BOOL): "cast_i32_bool",
    (DType.UINT8, DType.FLOAT32): "cast_u8_f32",
    (DType.UINT8, DType.INT32): "cast_u8_i32",
    (DType.UINT8, DType.BOOL): "cast_u8_bool",
    (DType.BOOL, DType.FLOAT32): "cast_u8_f32",
    (DType.BOOL, DType.INT32): "cast_u8_i32",
    (DType.INT8, DType.FLOAT32): "cast_i8_f32",
    (DType.INT8, DType.INT32): "cast_i8_i32",
    (DType.INT8, DType.BOOL): "cast_i8_bool",
    (DType.INT32, DType.INT8): "cast_i32_i8",
}


@emits(*UNARY, accepts=floats_only)
def plain(node: Node, writer: Writer) -> None:
    unary(node, writer, UNARY[type(node.op)])


@emits(Identity)
def identity(node: Node, writer: Writer) -> None:
    writer.alias(node.output, node.inputs[0])


def floats_or_integers(node: Node) -> Refusal | None:
    """Condition for kernels that exist for float32 and int32."""
    return None if device_dtype(node.inputs[0].type.dtype) is DType.INT32 else floats_only(node)


def binary(node: Node, writer: Writer, kernel: str, *rest: Argument) -> None:
    """One kernel of two broadcasting operands; writes over the first one that has the result's size and is free."""
    a, b = node.inputs
    operands = writer.operand(a), writer.operand(b)
    over = a if fills(a, node.output) else b
    table = broadcast_table(a.type.shape, b.type.shape, node.output.type.shape)
    suffix = "" if a.type.dtype is DType.FLOAT32 else "_i32"
    writer.call(kernel + suffix, writer.result_over(node.output, over), *operands, table, *rest)


@emits(*ARITHMETIC, accepts=floats_or_integers)
def arithmetic(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, Add | Sub | Mul | Div)
    bounds = BOUNDS[node.op.activation] if node.inputs[0].type.dtype is DType.FLOAT32 else ()
    binary(node, writer, ARITHMETIC[type(node.op)], *bounds)


@emits(*_CHOICE, accepts=floats_or_integers)
def choice(node: Node, writer: Writer) -> None:
    binary(node, writer, _CHOICE[type(node.op)])


@emits(Atan2, accepts=floats_only)
def atan2(node: Node, writer: Writer) -> None:
    binary(node, writer, "atan2")


@emits(Pow, accepts=floats_or_integers)
def power(node: Node, writer: Writer) -> None:
    """Squares, cubes and roots have kernels of their own."""
    if (kernel := power_kernel(node)) is not None:
        unary(node, writer, kernel)
    else:
        binary(node, writer, "pow")


def power_kernel(node: Node) -> str | None:
    """The kernel of one operand that computes a power, for some exponents."""
    x, exponents = node.inputs
    if exponents.type.dtype is not DType.FLOAT32 or node.output.type.shape != x.type.shape:
        return None
    return {2.0: "square", 3.0: "cube", 0.5: "sqrt", -0.5: "rsqrt", -1.0: "reciprocal"}.get(
        same_everywhere(exponents) or 0.0
    )


def _castable(node: Node) -> Refusal | None:
    source, target = node.inputs[0].type.dtype, node.output.type.dtype
    if device_dtype(source) is device_dtype(target) or (device_dtype(source), device_dtype(target)) in _CASTS:
        return None
    return Refusal(
        f"there is no cast from {source.value} to {target.value}", "cast by way of int32 in the model", "TP105"
    )


@emits(Cast, accepts=_castable)
def cast(node: Node, writer: Writer) -> None:
    x = node.inputs[0]
    source, target = device_dtype(x.type.dtype), device_dtype(node.output.type.dtype)
    if source is target:
        writer.alias(node.output, x)
    else:
        writer.call(_CASTS[source, target], writer.result(node.output), writer.operand(x), x.type.elements)


def fills(operand: Value, output: Value) -> bool:
    return operand.type.elements == output.type.elements


def same_everywhere(value: Value) -> float | None:
    """The one value of a constant whose cells are all equal."""
    if not value.is_constant or value.array().size == 0:
        return None
    cells = np.asarray(value.array(), np.float64).reshape(-1)
    return float(cells[0]) if bool((cells == cells[0]).all()) else None
