"""Matrix products."""

from __future__ import annotations

from ....exporter.graph import Dim, Node
from ....exporter.graph.dims import product
from ....exporter.ops import Linear, MatMul
from ..emitters import BOUNDS, constant_weights, emits, floats_only
from ..pack import PANEL, pack_bias, pack_panels
from ..writer import Writer
from .broadcast import runs, strides


@emits(Linear, accepts=constant_weights)
def linear(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, Linear)
    x, weight, *bias = node.inputs
    columns, depth = weight.type.static_shape()
    writer.call(
        "gemm",
        writer.result(node.output),
        writer.operand(x),
        writer.weights(pack_panels(weight.array())),
        writer.weights(pack_bias(bias[0].array() if bias else None, columns)),
        product(x.type.shape[:-1]),
        columns,
        depth,
        *BOUNDS[node.op.activation],
    )


@emits(MatMul, accepts=floats_only)
def matmul(node: Node, writer: Writer) -> None:
    """b is packed into panels while the model runs, one matrix at a time; its leading axes may be fewer than a's."""
    assert isinstance(node.op, MatMul)
    a, b = node.inputs
    rows, depth, columns = a.type.shape[-2], a.type.shape[-1], node.output.type.shape[-1]
    batch = strides(runs((a.type.shape[:-2], b.type.shape[:-2]), node.output.type.shape[:-2]))
    matrix = (1, rows * depth, depth * columns)  # strides count elements, and a step along a batch axis is a matrix
    axes = [entry * matrix[i % 3] for i, entry in enumerate(batch)]
    padded: Dim = (columns + PANEL - 1) // PANEL * PANEL
    operands = writer.operand(a), writer.operand(b)
    scratch = writer.scratch((depth + 1) * padded)
    steps = (1, depth) if node.op.transpose_b else (columns, 1)
    table = [len(axes) // 3, rows, columns, depth, *steps, *axes]
    writer.call("matmul", writer.result(node.output), *operands, scratch, table)
