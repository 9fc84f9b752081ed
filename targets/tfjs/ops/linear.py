"""Products of matrices: _FusedMatMul for a constant matrix, BatchMatMulV2.

The fast kernel of the wasm backend multiplies one matrix with one matrix as they stand. The one for several products,
or for a transposed operand, adds a fused bias once for every 48 columns, so nothing is fused into those.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from ....exporter.graph import Node
from ....exporter.ops import Activation, Linear, MatMul
from ..coded import Filters, filters_of, finished
from ..emitters import FLOAT, FUSED, all_of, emits
from ..sizes import reshape_tensor, shape_tensor
from ..writer import Writer
from .conv import constant_weights


@emits(Linear, accepts=all_of(FLOAT, constant_weights))
def linear(node: Node, writer: Writer) -> None:
    """x as a matrix [-1, I], the weight turned round."""
    x, weight = node.inputs[:2]
    rows = writer.tensor(x)
    flat = x.type.rank == 2
    if not flat:
        rows = writer.node("Reshape", [rows, writer.int32s([-1, cast(int, weight.type.shape[1])], "rows")], "rows")
    y = write_linear(writer, rows, filters_of(node, writer), weight.name, "product")
    if flat:
        writer.bind(node.output, y)
    else:
        writer.node("Reshape", [y, reshape_tensor(writer, node.output.type.shape)], node.output)


def write_linear(writer: Writer, rows: str, filters: Filters, name: str, role: str) -> str:
    """rows [M, K] times the filters [N, K]: [M, N], with all that belongs to it.

    name   of the weight
    """
    operands = [rows, writer.constant(np.ascontiguousarray(filters.weight.T), name)]
    inside = [] if filters.inside is Activation.NONE else [FUSED[filters.inside]]
    if filters.bias is None:
        y = writer.node("MatMul", operands, role, transpose_a=False, transpose_b=False)
        for activation in inside:
            y = writer.node(activation, [y], "activation")
        return finished(writer, y, filters)
    operands.append(writer.constant(filters.bias, f"{name}/bias"))
    fused = ["BiasAdd", *inside]
    y = writer.node("_FusedMatMul", operands, role, num_args=1, fused_ops=fused, transpose_a=False, transpose_b=False)
    return finished(writer, y, filters)


@emits(MatMul, accepts=FLOAT)
def matmul(node: Node, writer: Writer) -> None:
    """The kernels count products of the smaller operand round: right only where its leading axes are the last ones of
    the result's."""
    batch = node.output.type.shape[:-2]
    operands = []
    for value in node.inputs:
        tensor, own = writer.tensor(value), value.type.shape[:-2]
        while own and own[0] == 1:
            own = own[1:]
        if own != batch[len(batch) - len(own) :]:
            full = (*batch, *value.type.shape[-2:])
            tensor = writer.node("BroadcastTo", [tensor, shape_tensor(writer, full)], "repeated")
        operands.append(tensor)
    transposed = cast(MatMul, node.op).transpose_b
    writer.node("BatchMatMulV2", operands, node.output, adj_x=False, adj_y=transposed)
