"""What a pass is: a function that changes a graph through its verbs and says whether it changed anything."""

from __future__ import annotations

from collections.abc import Callable

from ..graph import Graph, Node, Value
from ..ops import OpAttrs

Pass = Callable[[Graph], bool]
Spells = Callable[[Node], bool]
"""Whether a target can write a node as it is."""


def only_user_is(value: Value, graph: Graph, op: type[OpAttrs]) -> bool:
    """Whether a value is read by one node of that op and by nobody else, not as an output either."""
    return len(value.users) == 1 and isinstance(value.users[0].op, op) and not graph.is_output(value)
