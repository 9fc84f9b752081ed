"""Arithmetic cell by cell."""

from __future__ import annotations

from ....exporter.graph import DType, Node
from ....exporter.ops import (
    Abs,
    Acos,
    Acosh,
    Activation,
    Add,
    Asin,
    Asinh,
    Atan,
    Atanh,
    Cast,
    Ceil,
    Cos,
    Cosh,
    Div,
    Erf,
    Exp,
    Floor,
    Fmod,
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
    Sign,
    Sin,
    Sinh,
    Sqrt,
    Sub,
    Tan,
)
from ...emit import Refusal
from ..emitters import emits
from ..writer import OnnxWriter, onnx_dtype

_ONNX_NAMES: dict[type[OpAttrs], str] = {
    Maximum: "Max",
    Minimum: "Min",
    Exp: "Exp",
    Log: "Log",
    Sqrt: "Sqrt",
    Neg: "Neg",
    Abs: "Abs",
    Erf: "Erf",
    Identity: "Identity",
    Floor: "Floor",
    Ceil: "Ceil",
    Round: "Round",
    Sign: "Sign",
    Sin: "Sin",
    Cos: "Cos",
    Tan: "Tan",
    Asin: "Asin",
    Acos: "Acos",
    Atan: "Atan",
    Sinh: "Sinh",
    Cosh: "Cosh",
    Asinh: "Asinh",
    Acosh: "Acosh",
    Atanh: "Atanh",
}


@emits(*_ONNX_NAMES)
def elementwise(node: Node, writer: OnnxWriter) -> None:
    writer.node(_ONNX_NAMES[type(node.op)], node)


def _wide_numbers(node: Node) -> Refusal | None:
    """Condition: ONNX Runtime's arithmetic takes no integers of 8 or 16 bits."""
    dtype = node.output.type.dtype
    if dtype in (DType.INT8, DType.UINT8, DType.INT16):
        return Refusal(f"ONNX Runtime does not compute with {dtype.value} tensors", "cast them to int32", "TP105")
    return None


@emits(Add, Sub, Mul, Div, Pow, accepts=_wide_numbers)
def arithmetic(node: Node, writer: OnnxWriter) -> None:
    assert getattr(node.op, "activation", Activation.NONE) is Activation.NONE, "nothing is fused for ONNX"
    writer.node(node.op.__class__.__name__, node)


@emits(Cast)
def cast(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, Cast)
    writer.node("Cast", node, to=onnx_dtype(node.op.dtype))


@emits(Fmod)
def fmod(node: Node, writer: OnnxWriter) -> None:
    writer.node("Mod", node, fmod=1)


def _integers_only(node: Node) -> Refusal | None:
    """Condition: ONNX's Mod without fmod takes integers; remainders of floats are decomposed."""
    if node.output.type.dtype.is_integer:
        return None
    return Refusal("Mod takes integers alone", "use fmod", "TP105")


@emits(Remainder, accepts=_integers_only)
def remainder(node: Node, writer: OnnxWriter) -> None:
    writer.node("Mod", node)
