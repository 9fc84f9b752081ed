"""Folds batch norm into the convolution, transposed convolution or linear layer before it.

before:  %1 = conv2d(%x, w, b)    %2 = batch_norm(%1, scale, offset, mean, variance)
after:   %2 = conv2d(%x, w', b')

w' = w * s and b' = (b - mean) * s + offset with s = scale / sqrt(variance + epsilon), one factor an output channel,
computed in float64. Depthwise is a convolution like any other: its factor runs along the weight's first axis too. In a
grouped transposed convolution output channels stand group by group along the weight's second axis.
"""

from __future__ import annotations

import numpy as np

from ..graph import Array, Graph, Node, Value
from ..ops import Activation, BatchNorm, Conv, ConvTranspose, Layout, Linear
from .base import only_user_is


def fuse_batch_norm(graph: Graph) -> bool:
    """True when a batch norm was folded."""
    changed = False
    for node in graph.nodes:
        if isinstance(node.op, BatchNorm) and _fusable(graph, node):
            _fuse(graph, node)
            changed = True
    return changed


def _fusable(graph: Graph, node: Node) -> bool:
    x = node.inputs[0]
    before = x.producer
    if before is None or not isinstance(before.op, Conv | ConvTranspose | Linear):
        return False
    if before.op.activation is not Activation.NONE or not only_user_is(x, graph, BatchNorm):
        return False
    assert isinstance(node.op, BatchNorm)
    channel = x.type.rank - 1 if isinstance(before.op, Linear) else before.op.layout.channel_axis(x.type.rank)
    return node.op.axis == channel and all(v.is_constant for v in (*before.inputs[1:], *node.inputs[1:]))


def _fuse(graph: Graph, node: Node) -> None:
    layer = node.inputs[0].producer
    assert layer is not None and isinstance(node.op, BatchNorm), "checked by _fusable"
    scale, offset, mean, variance = (value.array().astype(np.float64) for value in node.inputs[1:])
    factor = scale / np.sqrt(variance + node.op.epsilon)
    weight = layer.inputs[1]
    bias = layer.inputs[2].array().astype(np.float64) if len(layer.inputs) == 3 else np.zeros_like(mean)
    dtype = weight.array().dtype
    # The factor is rounded to the weight's dtype once, so that no float64 copy of the weights is made.
    new_weight = weight.array() * _along_weight(layer, weight, factor).astype(dtype)
    new_bias = ((bias - mean) * factor + offset).astype(dtype)
    operands = [layer.inputs[0], graph.rebuild_constant(weight, new_weight)]
    if len(layer.inputs) == 3:
        operands.append(graph.rebuild_constant(layer.inputs[2], new_bias))
    else:
        operands.append(graph.add_constant(new_bias, f"{layer.name}.bias"))
    fused = graph.rebuild(layer, layer.op, operands)
    graph.replace(node.output, fused.output)
    graph.remove(node)
    graph.remove(layer)


def _along_weight(layer: Node, weight: Value, factor: Array) -> Array:
    """The factor of each output channel in a shape that broadcasts against the weight."""
    rank = weight.type.rank
    if not isinstance(layer.op, ConvTranspose):
        return factor.reshape(-1, *[1] * (rank - 1))
    groups = layer.op.groups
    if layer.op.layout is Layout.CHANNELS_LAST:
        # [O/groups, *kernel, I]: the group of a cell is that of its input channel.
        inputs = weight.type.static_shape()[-1]
        table = np.repeat(factor.reshape(groups, -1).T, inputs // groups, axis=1)
        return table.reshape(table.shape[0], *[1] * (rank - 2), inputs)
    inputs = weight.type.static_shape()[0]
    table = np.repeat(factor.reshape(groups, -1), inputs // groups, axis=0)
    return table.reshape(inputs, -1, *[1] * (rank - 2))
