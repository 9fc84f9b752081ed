"""Computes on small integers in int32, where a target's kernel does not take them as they are.

before:  %1 = floor_divide(%a uint8, %b uint8)
after:   %2 = cast(%a, int32)    %3 = cast(%b, int32)    %4 = floor_divide(%2, %3)    %1 = cast(%4, uint8)

A result beyond eight bits wraps around in the last cast, as it does in torch.
"""

from __future__ import annotations

from ..graph import DType, Graph, Node, Value
from ..ops import BinaryOp, Cast, Identity, OpAttrs, UnaryOp, Where
from .base import Spells

_SMALL = (DType.INT8, DType.UINT8, DType.INT16)


def widened(graph: Graph, node: Node, spells: Spells) -> bool:
    """Widens the operands of one node if the target has the casts; says whether it did."""
    if not isinstance(node.op, BinaryOp | UnaryOp | Where) or isinstance(node.op, Identity):
        return False
    if not any(value.type.dtype in _SMALL for value in node.inputs):
        return False
    made: list[Node] = []

    def add(op: OpAttrs, *operands: Value) -> Value:
        value = graph.add(op, *operands, name=f"{node.name}/{op.name}", source=node.source)
        assert value.producer is not None
        made.append(value.producer)
        return value

    operands = [add(Cast(DType.INT32), value) if value.type.dtype in _SMALL else value for value in node.inputs]
    y = add(node.op, *operands)
    if y.type.dtype is not node.output.type.dtype:
        y = add(Cast(node.output.type.dtype), y)
    if not all(spells(step) for step in made if isinstance(step.op, Cast)):
        for step in reversed(made):
            graph.remove(step)
        return False
    graph.hand_name_over(node, y)
    graph.replace(node.output, y)
    graph.remove(node)
    return True
