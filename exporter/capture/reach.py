"""The largest sizes of free dims for which the places that a model counts out have a row in its tables.

    self.positions(torch.arange(x.shape[1]))    an embedding of 64 rows serves 64 steps

Every port would refuse a longer input in words of its own, about an index in the middle of the graph.
"""

from __future__ import annotations

from ..graph import Dim, Graph, Value
from ..graph.limits import Limit, limits_of, record_limits
from ..graph.steps import in_steps
from ..ops import Add, Cast, Expand, Gather, Iota, Reshape, Transpose

_SAME_VALUES = (Cast, Expand, Reshape, Transpose)


def limit_from_above(graph: Graph) -> list[str]:
    """Records the largest sizes among the graph's limits; gives a notice for each that is less than it was."""
    limits, notices = limits_of(graph), []
    for node in graph.nodes:
        if not isinstance(node.op, Gather):
            continue
        table, indices = node.inputs
        rows, counted = table.type.shape[node.op.axis], _counted(indices)
        steps = in_steps(counted[0]) if counted else None
        if steps is None or counted is None or not isinstance(rows, int):
            continue
        before = limits.get(steps.name, Limit())
        limit = before.meet(Limit(1, steps.at_most(rows - counted[1])))
        if limit != before:
            limits[steps.name] = limit
            notices.append(f'"{steps.name}" is free, with {limit}')
    record_limits(graph, limits)
    return notices


def _counted(value: Value) -> tuple[Dim, int] | None:
    """(n, offset) of integers that run from offset to offset + n - 1, in any order and number; None for others."""
    offset = 0
    while (node := value.producer) is not None:
        if isinstance(node.op, Iota):
            return node.op.size, offset
        if isinstance(node.op, _SAME_VALUES):
            value = node.inputs[0]
            continue
        added = [operand for operand in node.inputs if operand.constant is not None]
        if not isinstance(node.op, Add) or len(added) != 1 or added[0].array().size != 1:
            return None
        offset += int(added[0].array().item())
        value = next(operand for operand in node.inputs if operand.constant is None)
    return None
