"""Normalisation. Batch norms that no convolution took in are one scale and one shift."""

from __future__ import annotations

import numpy as np

from ....exporter.graph import Array, Node, Value
from ....exporter.graph.dims import product
from ....exporter.ops import Activation, BatchNorm, LayerNorm
from ..emitters import BOUNDS, constant_weights, emits
from ..writer import Writer
from .broadcast import broadcast_table


@emits(LayerNorm, accepts=constant_weights)
def layer_norm(node: Node, writer: Writer) -> None:
    op, (x, *parameters) = node.op, node.inputs
    assert isinstance(op, LayerNorm)
    sample = x.type.with_shape(x.type.shape[x.type.rank - op.axes :]).static_shape()
    count = int(np.prod(sample))
    scale = _parameter(parameters, 0, np.ones(count, np.float32))
    offset = _parameter(parameters, 1, np.zeros(count, np.float32))
    operands = writer.operand(x), writer.weights(scale), writer.weights(offset)
    rows = product(x.type.shape[: x.type.rank - op.axes])
    writer.call("layer_norm", writer.result_over(node.output, x), *operands, rows, count, op.epsilon)


@emits(BatchNorm, accepts=constant_weights)
def batch_norm(node: Node, writer: Writer) -> None:
    op, x = node.op, node.inputs[0]
    assert isinstance(op, BatchNorm)
    scale, offset, mean, variance = (value.array().astype(np.float64) for value in node.inputs[1:])
    factor = scale / np.sqrt(variance + op.epsilon)
    shift = offset - mean * factor
    shape = x.type.shape
    table = broadcast_table(shape, (shape[op.axis], *(1,) * (len(shape) - 1 - op.axis % len(shape))), shape)
    operand = writer.operand(x)
    y = writer.result_over(node.output, x)
    bounds = BOUNDS[Activation.NONE]
    writer.call("mul", y, operand, writer.weights(factor.astype(np.float32)), table, *bounds)
    writer.call("add", y, y, writer.weights(shift.astype(np.float32)), table, *bounds)


def _parameter(parameters: list[Value], index: int, default: Array) -> Array:
    return parameters[index].array() if index < len(parameters) else default
