"""Arithmetic cell by cell."""

from __future__ import annotations

from ....exporter.graph import Node
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
    Add: "Add",
    Sub: "Sub",
    Mul: "Mul",
    Div: "Div",
    Maximum: "Max",
    Minimum: "Min",
    Pow: "Pow",
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
    assert getattr(node.op, "activation", Activation.NONE) is Activation.NONE, "nothing is fused for ONNX"
    writer.node(_ONNX_NAMES[type(node.op)], node)


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
