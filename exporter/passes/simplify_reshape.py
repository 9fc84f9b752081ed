"""Removes reshapes that do nothing, and makes one of two in a row.

before:  %1 = reshape(%x, [batch, 1, 8])    %2 = reshape(%1, [batch, 8])
after:   %2 = reshape(%x, [batch, 8])
"""

from __future__ import annotations

from ..graph import Graph
from ..ops import Reshape
from .dead_code import remove_dead_code


def simplify_reshape(graph: Graph) -> bool:
    """True when a reshape was removed."""
    changed = False
    for node in graph.nodes:
        if not isinstance(node.op, Reshape):
            continue
        first = node.inputs[0].producer
        if first is not None and isinstance(first.op, Reshape):
            graph.set_inputs(node, [first.inputs[0]])
            changed = True
        if node.inputs[0].type.shape == node.op.shape:
            graph.replace(node.output, node.inputs[0])
            changed = True
    if changed:
        remove_dead_code(graph)
    return changed
