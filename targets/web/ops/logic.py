"""Comparisons, logic and choice: bools are bytes, integers int32."""

from __future__ import annotations

from ....exporter.graph import DType, Node
from ....exporter.ops import (
    BitwiseAnd,
    BitwiseOr,
    BitwiseXor,
    Equal,
    Less,
    LessEqual,
    LogicalAnd,
    LogicalNot,
    LogicalOr,
    LogicalXor,
    OpAttrs,
    Where,
)
from ...emit import Refusal
from ..dtypes import device_dtype
from ..emitters import emits
from ..writer import Writer
from .broadcast import broadcast_table, operand_table
from .elementwise import floats_or_integers

_COMPARISONS: dict[type[OpAttrs], str] = {Equal: "equal", Less: "less", LessEqual: "less_equal"}
_LOGIC: dict[type[OpAttrs], str] = {LogicalAnd: "and_u8", LogicalOr: "or_u8", LogicalXor: "xor_u8"}
_BITS: dict[type[OpAttrs], str] = {BitwiseAnd: "and", BitwiseOr: "or", BitwiseXor: "xor"}


def _pair(node: Node, writer: Writer, kernel: str) -> None:
    """One kernel of two operands whose result may have another size than they."""
    a, b = node.inputs
    operands = writer.operand(a), writer.operand(b)
    table = broadcast_table(a.type.shape, b.type.shape, node.output.type.shape)
    writer.call(kernel, writer.result(node.output), *operands, table)


@emits(*_COMPARISONS, accepts=floats_or_integers)
def compare(node: Node, writer: Writer) -> None:
    suffix = "" if node.inputs[0].type.dtype is DType.FLOAT32 else "_i32"
    _pair(node, writer, _COMPARISONS[type(node.op)] + suffix)


@emits(*_LOGIC)
def logic(node: Node, writer: Writer) -> None:
    _pair(node, writer, _LOGIC[type(node.op)])


@emits(LogicalNot)
def logical_not(node: Node, writer: Writer) -> None:
    x = node.inputs[0]
    writer.call("logical_not", writer.result(node.output), writer.operand(x), x.type.elements)


def _bits(node: Node) -> Refusal | None:
    """Condition: signed bytes and bytes have no kernels of their own."""
    dtype = node.output.type.dtype
    if device_dtype(dtype) in (DType.INT32, DType.UINT8):
        return None
    return Refusal(f"there is no kernel for bits of {dtype.value}", "cast both operands to int32", "TP105")


@emits(*_BITS, accepts=_bits)
def bits(node: Node, writer: Writer) -> None:
    suffix = "_i32" if device_dtype(node.output.type.dtype) is DType.INT32 else "_u8"
    _pair(node, writer, _BITS[type(node.op)] + suffix)


@emits(Where)
def where(node: Node, writer: Writer) -> None:
    operands = [writer.operand(value) for value in node.inputs]
    table = operand_table([value.type.shape for value in node.inputs], node.output.type.shape)
    size = device_dtype(node.output.type.dtype).bytes
    writer.call(f"where_{size}", writer.result(node.output), *operands, table)
