"""Removes nodes that no output depends on.

before:  %1 = relu(%x)    %2 = tanh(%x)    outputs: %1
after:   %1 = relu(%x)                     outputs: %1
"""

from __future__ import annotations

from ..graph import Graph, Node


def remove_dead_code(graph: Graph) -> bool:
    """True when something was removed."""
    live: set[Node] = set()
    stack = [value.producer for value in graph.outputs.values()]
    while stack:
        node = stack.pop()
        if node is not None and node not in live:
            live.add(node)
            stack.extend(value.producer for value in node.inputs)
    before = len(graph.nodes)
    graph.retain(live)
    return len(graph.nodes) != before
