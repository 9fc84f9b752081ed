"""Gemm and MatMul."""

from __future__ import annotations

import numpy as np

from ....exporter.graph import Node
from ....exporter.graph.stored import Stored, pack_halves, stored_form_of
from ....exporter.ops import Linear, MatMul
from ...emit import Refusal
from ..emitters import emits
from ..writer import MICROSOFT, OnnxWriter

BLOCKS = (16, 32, 64, 128, 256)
"""Weights that share a step in MatMulNBits."""


@emits(Linear)
def linear(node: Node, writer: OnnxWriter) -> None:
    """Gemm takes matrices only; other ranks are MatMul with the weight turned round, then Add."""
    x, weight, *bias = node.inputs
    if (stored := _in_blocks(node, writer)) is not None:
        product = _blockwise(node, writer, stored, output=f"{node.name}/product" if bias else None)
        if bias:
            writer.node("Add", node, [product, bias[0]])
        return
    if x.type.rank == 2:
        writer.node("Gemm", node, transB=1)
        return
    if weight.is_constant:
        turned = writer.constant(node, "weight", np.ascontiguousarray(weight.array().T))
    else:
        turned = writer.node("Transpose", node, [weight], output=f"{node.name}/weight", perm=(1, 0))
    if not bias:
        writer.node("MatMul", node, [x, turned])
        return
    product = writer.node("MatMul", node, [x, turned], output=f"{node.name}/product")
    writer.node("Add", node, [product, bias[0]])


def _in_blocks(node: Node, writer: OnnxWriter) -> Stored | None:
    """The weight, where it is stored in blocks of 4 bits that MatMulNBits has: a power of two from 16 to 256."""
    x, weight = node.inputs[:2]
    if not weight.is_constant or x.type.rank < 2:
        return None
    stored = stored_form_of(weight.array(), [form for form in writer.forms if form.bits == 4])
    fits = stored is not None and stored.view[:2] == (1, 1) and stored.view[3] in BLOCKS
    return stored if stored is not None and fits and weight.array().shape[1] % stored.view[3] == 0 else None


def _blockwise(node: Node, writer: OnnxWriter, stored: Stored, output: str | None) -> str:
    """MatMulNBits reads codes 0 … 15, of which 8 is zero. Without ``accuracy_level`` it computes in float32."""
    (rows, columns), block = stored.codes.shape, stored.view[3]
    codes = pack_halves(stored.codes.astype(np.int8) + np.int8(8))
    assert stored.steps is not None
    operands = [
        writer.name(node.inputs[0]),
        writer.constant(node, "weight/codes", codes.reshape(rows, columns // block, block // 2)),
        writer.constant(node, "weight/steps", stored.steps.reshape(-1)),
    ]
    attributes = {"K": columns, "N": rows, "bits": 4, "block_size": block}
    return writer.node("MatMulNBits", node, operands, output=output, domain=MICROSOFT, **attributes)


def _plain(node: Node) -> Refusal | None:
    assert isinstance(node.op, MatMul)
    if not node.op.transpose_b:
        return None
    return Refusal("ONNX's MatMul takes no transposed operand", "transpose it before the product")


@emits(MatMul, accepts=_plain)
def matmul(node: Node, writer: OnnxWriter) -> None:
    writer.node("MatMul", node)
