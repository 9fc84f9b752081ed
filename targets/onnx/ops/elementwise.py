"""Arithmetic cell by cell."""

from __future__ import annotations

from ....exporter.graph import Node
from ....exporter.ops import (
    Abs,
    Activation,
    Add,
    Cast,
    Div,
    Erf,
    Exp,
    Identity,
    Log,
    Maximum,
    Minimum,
    Mul,
    Neg,
    OpAttrs,
    Pow,
    Sqrt,
    Sub,
)
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
}


@emits(*_ONNX_NAMES)
def elementwise(node: Node, writer: OnnxWriter) -> None:
    assert getattr(node.op, "activation", Activation.NONE) is Activation.NONE, "nothing is fused for ONNX"
    writer.node(_ONNX_NAMES[type(node.op)], node)


@emits(Cast)
def cast(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, Cast)
    writer.node("Cast", node, to=onnx_dtype(node.op.dtype))
