"""Gives every spatial op the layout of a target, with transposes around it that later passes cancel.

before:  %1 = conv2d(%x, w) {layout=channels_first}
after:   %2 = transpose(%x, to last)    %3 = conv2d(%2, w') {layout=channels_last}    %1 = transpose(%3, to first)

The weight is permuted here; one that several layers share is permuted once.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..graph import Graph, Node, Value
from ..ops import AveragePool, Conv, ConvTranspose, Layout, MaxPool, Resize, Transpose
from ..ops.base import Perm, inverse_perm, to_channels_first, to_channels_last
from ..ops.conv import weight_perm
from .base import Pass

SPATIAL = (Conv, ConvTranspose, MaxPool, AveragePool, Resize)


def assign_layout(layout: Layout) -> Pass:
    """The pass for a target that computes in ``layout``."""

    def assign(graph: Graph) -> bool:
        moved_weights: dict[tuple[Value, Perm], Value] = {}
        changed = False
        for node in graph.nodes:
            if isinstance(node.op, SPATIAL) and node.op.layout is not layout:
                _move(graph, node, layout, moved_weights)
                changed = True
        return changed

    return assign


def _move(graph: Graph, node: Node, layout: Layout, moved_weights: dict[tuple[Value, Perm], Value]) -> None:
    rank = node.inputs[0].type.rank
    perm = to_channels_last(rank) if layout is Layout.CHANNELS_LAST else to_channels_first(rank)
    name = node.name
    x = graph.add(Transpose(perm), node.inputs[0], name=f"{name}/transpose", source=node.source)
    operands = [x, *node.inputs[1:]]
    assert isinstance(node.op, SPATIAL)
    if isinstance(node.op, Conv | ConvTranspose):
        weight, weight_axes = node.inputs[1], weight_perm(node.op, layout)
        if (weight, weight_axes) not in moved_weights:
            moved_weights[weight, weight_axes] = _moved_weight(graph, node, weight, weight_axes)
        operands[1] = moved_weights[weight, weight_axes]
    moved = graph.rebuild(node, replace(node.op, layout=layout), operands)
    back = graph.add(Transpose(inverse_perm(perm)), moved.output, name=f"{name}/transpose_back", source=node.source)
    graph.replace(node.output, back)
    graph.remove(node)


def _moved_weight(graph: Graph, node: Node, weight: Value, perm: Perm) -> Value:
    if weight.is_constant:
        return graph.rebuild_constant(weight, np.ascontiguousarray(weight.array().transpose(perm)))
    return graph.add(Transpose(perm), weight, name=f"{node.name}/weight", source=node.source)
