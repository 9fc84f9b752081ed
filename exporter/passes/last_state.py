"""Reads the last step of a recurrent layer from its state, so that the whole sequence need not be kept.

before:  %1, %2 = lstm(%x, ...)    %3 = slice(%1) {axes=[0], starts=[time-1], stops=[time], steps=[1]}
after:   %1, %2 = lstm(%x, ...)    %3 = reshape(%2, [1, batch, units])

A layer that goes backwards ends at step 0.
"""

from __future__ import annotations

from ..graph import Graph, Node
from ..ops import Reshape, Slice
from ..ops.recurrent import Recurrent


def last_state(graph: Graph) -> bool:
    """True when a slice was replaced."""
    changed = False
    for node in graph.nodes:
        layer = node.inputs[0].producer if isinstance(node.op, Slice) else None
        if layer is not None and _ends_with(layer, node):
            state = graph.add(Reshape(node.output.type.shape), layer.outputs[1], name=node.name, source=node.source)
            graph.hand_name_over(node, state)
            graph.replace(node.output, state)
            graph.remove(node)
            changed = True
    return changed


def _ends_with(layer: Node, part: Node) -> bool:
    """Whether a slice takes the step that a layer computes last, and all of it."""
    y, op = part.inputs[0], part.op
    if not isinstance(layer.op, Recurrent) or y is not layer.outputs[0]:
        return False
    assert isinstance(op, Slice)
    last = 0 if layer.op.reverse else y.type.shape[0] - 1
    return op.axes == (0,) and op.starts == (last,) and op.stops == (last + 1,)
