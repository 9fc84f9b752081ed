"""Comparisons, logic and choice."""

from __future__ import annotations

from ....exporter.graph import DType, Node
from ....exporter.ops import (
    BitwiseAnd,
    BitwiseOr,
    BitwiseXor,
    Equal,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    LogicalAnd,
    LogicalNot,
    LogicalOr,
    LogicalXor,
    NotEqual,
    OpAttrs,
    Where,
)
from ...emit import Refusal
from ..emitters import emits
from ..writer import OnnxWriter

_ONNX_NAMES: dict[type[OpAttrs], str] = {
    Equal: "Equal",
    Less: "Less",
    LessEqual: "LessOrEqual",
    Greater: "Greater",
    GreaterEqual: "GreaterOrEqual",
    LogicalAnd: "And",
    LogicalOr: "Or",
    LogicalXor: "Xor",
    LogicalNot: "Not",
    BitwiseAnd: "BitwiseAnd",
    BitwiseOr: "BitwiseOr",
    BitwiseXor: "BitwiseXor",
}


@emits(*_ONNX_NAMES)
def logic(node: Node, writer: OnnxWriter) -> None:
    writer.node(_ONNX_NAMES[type(node.op)], node)


@emits(NotEqual)
def not_equal(node: Node, writer: OnnxWriter) -> None:
    equal = writer.node("Equal", node, output=f"{node.name}/equal")
    writer.node("Not", node, [equal])


def _choosable(node: Node) -> Refusal | None:
    """Condition: ONNX Runtime has a kernel for the dtype; bools are decomposed into logic."""
    dtype = node.output.type.dtype
    if dtype in (DType.BOOL, DType.INT8, DType.INT16):
        return Refusal(f"ONNX Runtime does not choose between {dtype.value} tensors", "cast both to int32", "TP105")
    return None


@emits(Where, accepts=_choosable)
def where(node: Node, writer: OnnxWriter) -> None:
    writer.node("Where", node)
