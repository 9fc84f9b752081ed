"""Products of matrices: FULLY_CONNECTED and BATCH_MATMUL."""

from __future__ import annotations

from typing import cast

from ....exporter.graph import Node
from ....exporter.ops import Linear, MatMul
from ..registry import FLOAT, all_of, at_most_rank, emits
from ..schema import FUSED_ACTIVATIONS, schema
from ..writer import OPTIONAL, Writer


@emits(Linear, accepts=FLOAT)
def linear(node: Node, writer: Writer) -> None:
    write_linear(node, writer, [*writer.tensors(node.inputs), OPTIONAL][:3])


def write_linear(node: Node, writer: Writer, inputs: list[int]) -> None:
    """FULLY_CONNECTED of x, weight and bias."""
    op = cast(Linear, node.op)
    options = schema.FullyConnectedOptionsT(
        fusedActivationFunction=FUSED_ACTIVATIONS[op.activation],
        keepNumDims=node.inputs[0].type.rank != 2,
    )
    writer.operator("FULLY_CONNECTED", inputs, writer.tensor(node.output), options)


@emits(MatMul, accepts=all_of(FLOAT, at_most_rank(5)))
def matmul(node: Node, writer: Writer) -> None:
    options = schema.BatchMatMulOptionsT(adjY=cast(MatMul, node.op).transpose_b)
    writer.operator("BATCH_MATMUL", writer.tensors(node.inputs), writer.tensor(node.output), options)
