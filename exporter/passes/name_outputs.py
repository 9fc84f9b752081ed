"""Lets every output be computed by a node of its own, under the output's name.

before:  outputs: {"probs": %softmax:out, "again": %softmax:out}
after:   %again = identity(%probs)    outputs: {"probs": %probs, "again": %again}
"""

from __future__ import annotations

from ..graph import Graph
from ..ops import Identity


def name_outputs(graph: Graph) -> bool:
    """True when a value was renamed or an identity added."""
    changed = False
    named: set[str] = set()
    for name, value in list(graph.outputs.items()):
        if value.producer is None or value.name in named:
            value = graph.add(Identity(), value, name=name)
            graph.set_output(name, value)
            changed = True
        if value.name != name:
            graph.rename(value, name)
            changed = True
        named.add(name)
    return changed
