"""Normalisation. Batch norms that no convolution took in are one scale and one shift."""

from __future__ import annotations

import numpy as np

from ....exporter.graph import Array, Graph, Node, Value
from ....exporter.graph.dims import product
from ....exporter.ops import Activation, Add, BatchNorm, LayerNorm
from ..emitters import BOUNDS, constant_weights, emits
from ..fusion import Fusion, finds, inner
from ..plan import Argument
from ..writer import Writer
from .broadcast import broadcast_table


@emits(LayerNorm, accepts=constant_weights)
def layer_norm(node: Node, writer: Writer) -> None:
    x = node.inputs[0]
    operand = writer.operand(x)
    writer.call("layer_norm", writer.result_over(node.output, x), operand, *_geometry(node, writer))


@finds
def sum_and_norm(graph: Graph, node: Node) -> Fusion | None:
    """The norm of a sum that nobody reads before it."""
    if not isinstance(node.op, LayerNorm) or constant_weights(node) is not None:
        return None
    added = node.inputs[0].producer
    if added is None or added.op != Add(Activation.NONE) or added.inputs[0].type != added.inputs[1].type:
        return None
    place = {other: i for i, other in enumerate(graph.nodes)}
    if min(added.output.users, key=place.__getitem__) is not node:
        return None
    kept = not inner(graph, added.output, (node,))
    return Fusion(frozenset((added, node)), lambda writer: _sum_and_norm(writer, added, node, kept))


def _sum_and_norm(writer: Writer, added: Node, node: Node, kept: bool) -> None:
    """The sum has a place of its own if somebody reads it later."""
    operands = [writer.operand(value) for value in added.inputs]
    total = writer.result_over(added.output, added.inputs[0]) if kept else ""
    y = writer.result(node.output) if kept else writer.result_over(node.output, added.inputs[0])
    writer.call("add_layer_norm", y, total or y, *operands, *_geometry(node, writer))


def _geometry(node: Node, writer: Writer) -> list[Argument]:
    """Weight, bias, rows, cells of a row, epsilon."""
    op, (x, *parameters) = node.op, node.inputs
    assert isinstance(op, LayerNorm)
    sample = x.type.with_shape(x.type.shape[x.type.rank - op.axes :]).static_shape()
    count = int(np.prod(sample))
    scale = _parameter(parameters, 0, np.ones(count, np.float32))
    offset = _parameter(parameters, 1, np.zeros(count, np.float32))
    rows = product(x.type.shape[: x.type.rank - op.axes])
    return [writer.weights(scale), writer.weights(offset), rows, count, op.epsilon]


@emits(BatchNorm, accepts=constant_weights)
def batch_norm(node: Node, writer: Writer) -> None:
    x, (factor, shift) = node.inputs[0], factor_and_shift(node)
    table = broadcast_table(x.type.shape, factor.shape, x.type.shape)
    operand = writer.operand(x)
    y = writer.result_over(node.output, x)
    bounds = BOUNDS[Activation.NONE]
    writer.call("mul", y, operand, writer.weights(factor), table, *bounds)
    writer.call("add", y, y, writer.weights(shift), table, *bounds)


def factor_and_shift(node: Node) -> tuple[Array, Array]:
    """What a batch norm multiplies by and then adds, [channels, 1, …] as long as its operand's axes from them on."""
    op, x = node.op, node.inputs[0]
    assert isinstance(op, BatchNorm)
    scale, offset, mean, variance = (value.array().astype(np.float64) for value in node.inputs[1:])
    factor = scale / np.sqrt(variance + op.epsilon)
    shape = (-1, *(1,) * (x.type.rank - 1 - op.axis % x.type.rank))
    return factor.astype(np.float32).reshape(shape), (offset - mean * factor).astype(np.float32).reshape(shape)


def _parameter(parameters: list[Value], index: int, default: Array) -> Array:
    return parameters[index].array() if index < len(parameters) else default
