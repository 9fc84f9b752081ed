"""Arithmetic cell by cell."""

from __future__ import annotations

from typing import cast

import numpy as np

from ....exporter.graph import DType, Node
from ....exporter.ops import (
    Abs,
    Acos,
    Acosh,
    Add,
    Asin,
    Asinh,
    Atan,
    Atan2,
    Atanh,
    Cast,
    Ceil,
    Cos,
    Cosh,
    Div,
    Erf,
    Exp,
    Expm1,
    Floor,
    FloorDivide,
    Identity,
    Log,
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
)
from ..dtypes import CARRIERS
from ..emitters import FLOAT, MOVABLE, NUMBERS, all_of, broadcasts_up_to, emits, of_dtype
from ..writer import Writer

INTEGERS = (DType.INT32, DType.INT64)

_NAMES: dict[type[OpAttrs], str] = {
    Add: "AddV2",
    Atan2: "Atan2",
    Div: "RealDiv",
    Maximum: "Maximum",
    Minimum: "Minimum",
    Mul: "Mul",
    Pow: "Pow",
    Remainder: "FloorMod",
    Sub: "Sub",
    Abs: "Abs",
    Acos: "Acos",
    Acosh: "Acosh",
    Asin: "Asin",
    Asinh: "Asinh",
    Atan: "Atan",
    Atanh: "Atanh",
    Ceil: "Ceil",
    Cos: "Cos",
    Cosh: "Cosh",
    Erf: "Erf",
    Exp: "Exp",
    Expm1: "Expm1",
    Floor: "Floor",
    Log: "Log",
    Neg: "Neg",
    Round: "Round",
    Rsqrt: "Rsqrt",
    Sign: "Sign",
    Sinh: "Sinh",
    Sqrt: "Sqrt",
    Tan: "Tan",
}


@emits(Add, Sub, Mul, Pow, Maximum, Minimum, Remainder, accepts=all_of(of_dtype(*NUMBERS), broadcasts_up_to(6)))
@emits(Atan2, accepts=all_of(FLOAT, broadcasts_up_to(6)))
@emits(Neg, Abs, accepts=of_dtype(*NUMBERS))
@emits(Acos, Acosh, Asin, Asinh, Atan, Atanh, Ceil, Cos, Cosh, Erf, Exp, Expm1, Floor, Log, Round,
       Rsqrt, Sign, Sinh, Sqrt, Tan, accepts=FLOAT)  # fmt: skip
def plain(node: Node, writer: Writer) -> None:
    writer.node(_NAMES[type(node.op)], [writer.tensor(value) for value in node.inputs], node.output)


@emits(Sin, accepts=FLOAT)
def sine(node: Node, writer: Writer) -> None:
    """Near 0 a series: the wasm backend's kernel is off by 2e-7 there, which is all of a small angle."""
    x = writer.tensor(node.inputs[0])
    square = writer.node("Mul", [x, x], "square")
    series = writer.scalar(1 / 120)
    for coefficient in (-1 / 6, 1.0):
        product = writer.node("Mul", [series, square], "product")
        series = writer.node("AddV2", [product, writer.scalar(coefficient)], "series")
    near = writer.node("Less", [writer.node("Abs", [x], "size"), writer.scalar(0.125)], "near")
    angle = writer.node("Mul", [x, series], "small")
    writer.node("SelectV2", [near, angle, writer.node("Sin", [x], "sin")], node.output)


@emits(Div, accepts=all_of(of_dtype(*NUMBERS), broadcasts_up_to(6)))
def div(node: Node, writer: Writer) -> None:
    """Integers: the quotient of the sizes with the signs put back."""
    a, b = (writer.tensor(value) for value in node.inputs)
    if node.output.type.dtype.is_float:
        writer.node("RealDiv", [a, b], node.output)
        return
    sizes = [writer.node("Abs", [tensor], "size") for tensor in (a, b)]
    signs = [writer.node("Sign", [tensor], "sign") for tensor in (a, b)]
    sign = writer.node("Mul", signs, "sign")
    writer.node("Mul", [_floor_quotient(writer, *sizes), sign], node.output)


@emits(FloorDivide, accepts=all_of(of_dtype(*INTEGERS), broadcasts_up_to(6)))
def floor_divide(node: Node, writer: Writer) -> None:
    writer.bind(node.output, _floor_quotient(writer, *(writer.tensor(value) for value in node.inputs)))


def _floor_quotient(writer: Writer, a: str, b: str) -> str:
    """floor(a / b) of int32 whose sum fits too. The kernels divide in float32: what they miss is added."""
    rest = writer.node("FloorMod", [a, b], "rest")
    multiple = writer.node("Sub", [a, rest], "multiple")
    guess = writer.node("FloorDiv", [multiple, b], "guess")
    missed = writer.node("Sub", [multiple, writer.node("Mul", [guess, b], "product")], "missed")
    floats = [writer.node("Cast", [tensor], "float", DstT=DType.FLOAT32) for tensor in (missed, b)]
    nearest = writer.node("Round", [writer.node("RealDiv", floats, "ratio")], "nearest")
    step = writer.node("Cast", [nearest], "step", DstT=DType.INT32)
    return writer.node("AddV2", [guess, step], "quotient")


@emits(Identity, accepts=of_dtype(*MOVABLE))
def identity(node: Node, writer: Writer) -> None:
    writer.node("Identity", [writer.tensor(node.inputs[0])], node.output)


@emits(Cast, accepts=of_dtype(*MOVABLE))
def cast_(node: Node, writer: Writer) -> None:
    """Eight bits are carried as int32: what goes into them wraps around."""
    x, to = node.inputs[0], cast(Cast, node.op).dtype
    tensor, before, after = writer.tensor(x), x.type.dtype, CARRIERS[to]
    if after is DType.BOOL:
        if before is DType.BOOL:
            writer.node("Identity", [tensor], node.output)
            return
        zero = writer.constant(np.zeros((), CARRIERS[before].numpy), f"{writer.at}/zero")
        writer.node("NotEqual", [tensor, zero], node.output)
        return
    if CARRIERS[before] is not after:
        tensor = writer.node("Cast", [tensor], "cast", DstT=after)
    if to in (DType.INT8, DType.UINT8) and before not in (to, DType.BOOL):
        tensor = _wrapped(writer, tensor, 128 if to is DType.INT8 else 0)
    writer.node("Identity", [tensor], node.output)


def _wrapped(writer: Writer, x: str, below: int) -> str:
    """x brought to -below … 255 - below by multiples of 256."""
    if below:
        x = writer.node("AddV2", [x, writer.int32(below, "shift")], "shifted")
    x = writer.node("FloorMod", [x, writer.int32(256, "codes")], "wrapped")
    return writer.node("Sub", [x, writer.int32(below, "shift")], "back") if below else x
