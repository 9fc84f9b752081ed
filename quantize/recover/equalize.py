"""Scales channels between two layers so that the filters of both use their codes (Nagel et al. 2019, section 4.1).

before:  %1 = conv(%x, w1, b1)            %2 = relu(%1)    %3 = conv(%2, w2)
after:   %1 = conv(%x, w1 / s, b1 / s)    %2 = relu(%1)    %3 = conv(%2, w2 * s)

s = sqrt(range(w1) / range(w2)) for each channel. Between the two nothing but a ReLU may stand, which lets a positive
factor pass, and nobody else may read what is in between.
"""

from __future__ import annotations

import numpy as np

from ...exporter.graph import Graph, Node
from ...exporter.ops import Activation, Conv, Layout, Linear, Relu
from .layers import Floats


def equalize(graph: Graph) -> bool:
    """True when a pair of layers of a canonical graph was rescaled."""
    changed = False
    for node in graph.nodes:
        follower = _follower(graph, node)
        if follower is not None:
            _rescale(graph, node, follower)
            changed = True
    return changed


def _follower(graph: Graph, node: Node) -> Node | None:
    """The only reader of a layer, where the two can be equalised."""
    op = node.op
    if not isinstance(op, Conv | Linear) or op.activation is Activation.RELU6 or graph.is_output(node.output):
        return None
    if not all(value.is_constant and len(value.users) == 1 for value in node.inputs[1:]):
        return None
    value = node.output
    if len(value.users) == 1 and isinstance(value.users[0].op, Relu) and not graph.is_output(value.users[0].output):
        value = value.users[0].output
    if len(value.users) != 1:
        return None
    (reader,) = value.users
    weight = reader.inputs[1] if isinstance(reader.op, Conv | Linear) else None
    if weight is None or reader.inputs[0] is not value or not weight.is_constant or len(weight.users) > 1:
        return None
    if isinstance(op, Conv) != isinstance(reader.op, Conv):
        return None
    if isinstance(reader.op, Conv) and reader.op.groups not in (1, weight.type.shape[0]):
        return None
    return reader


def _rescale(graph: Graph, node: Node, reader: Node) -> None:
    first, second = node.inputs[1].array().astype(np.float64), reader.inputs[1].array().astype(np.float64)
    channels = _input_axis(reader)
    ours = np.abs(first.reshape(first.shape[0], -1)).max(1)
    theirs = np.abs(np.moveaxis(second, channels, 0).reshape(second.shape[channels], -1)).max(1)
    usable = (ours > 0) & (theirs > 0)
    factor = np.where(usable, np.sqrt(np.divide(ours, theirs, out=np.ones_like(ours), where=usable)), 1.0)
    down, up = _along(factor, 0, first.ndim), _along(factor, channels, second.ndim)
    operands = [node.inputs[0], graph.rebuild_constant(node.inputs[1], (first / down).astype(np.float32))]
    if len(node.inputs) > 2:
        operands.append(graph.rebuild_constant(node.inputs[2], (node.inputs[2].array() / factor).astype(np.float32)))
    graph.set_inputs(node, operands)
    scaled = graph.rebuild_constant(reader.inputs[1], (second * up).astype(np.float32))
    graph.set_inputs(reader, [reader.inputs[0], scaled, *reader.inputs[2:]])


def _input_axis(node: Node) -> int:
    """The weight's axis that runs along the input's channels; of a depthwise filter bank the first."""
    if isinstance(node.op, Conv) and node.op.groups == 1:
        return 1 if node.op.layout is Layout.CHANNELS_FIRST else node.inputs[1].type.rank - 1
    return 0 if isinstance(node.op, Conv) else 1


def _along(factor: Floats, axis: int, rank: int) -> Floats:
    return factor.reshape([-1 if i == axis else 1 for i in range(rank)])
