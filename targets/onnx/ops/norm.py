"""BatchNormalization and LayerNormalization."""

from __future__ import annotations

import numpy as np

from ....exporter.graph import Node
from ....exporter.ops import BatchNorm, LayerNorm
from ...emit import Refusal
from ..emitters import emits
from ..writer import OnnxWriter


def _axis_one(node: Node) -> Refusal | None:
    assert isinstance(node.op, BatchNorm)
    return None if node.op.axis == 1 else Refusal("channels must stand at axis 1", "put the channels there")


@emits(BatchNorm, accepts=_axis_one)
def batch_norm(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, BatchNorm)
    writer.node("BatchNormalization", node, epsilon=node.op.epsilon)


@emits(LayerNorm)
def layer_norm(node: Node, writer: OnnxWriter) -> None:
    op = node.op
    assert isinstance(op, LayerNorm)
    x, *parameters = node.inputs
    scale = parameters[0] if parameters else _ones(node, op, writer)
    writer.node("LayerNormalization", node, [x, scale, *parameters[1:]], axis=-op.axes, epsilon=op.epsilon)


def _ones(node: Node, op: LayerNorm, writer: OnnxWriter) -> str:
    """LayerNormalization insists on a scale."""
    x = node.inputs[0].type
    shape = x.with_shape(x.shape[x.rank - op.axes :]).static_shape()
    return writer.constant(node, "scale", np.ones(shape, x.dtype.numpy))
