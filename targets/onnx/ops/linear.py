"""Gemm and MatMul."""

from __future__ import annotations

import numpy as np

from ....exporter.graph import Node
from ....exporter.ops import Linear, MatMul
from ...emit import Refusal
from ..emitters import emits
from ..writer import OnnxWriter


@emits(Linear)
def linear(node: Node, writer: OnnxWriter) -> None:
    """Gemm takes matrices only; other ranks are MatMul with the weight turned round, then Add."""
    x, weight, *bias = node.inputs
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


def _plain(node: Node) -> Refusal | None:
    assert isinstance(node.op, MatMul)
    if not node.op.transpose_b:
        return None
    return Refusal("ONNX's MatMul takes no transposed operand", "transpose it before the product")


@emits(MatMul, accepts=_plain)
def matmul(node: Node, writer: OnnxWriter) -> None:
    writer.node("MatMul", node)
