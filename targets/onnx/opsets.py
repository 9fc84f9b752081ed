"""Which opset a graph needs: the lowest that has every op in the form used, so that old servers load the file."""

from __future__ import annotations

from ...exporter.graph import Graph, Node
from ...exporter.ops import (
    AveragePool,
    BitwiseAnd,
    BitwiseOr,
    BitwiseXor,
    Gelu,
    HardSwish,
    LayerNorm,
    MaxPool,
    Mish,
    OpAttrs,
    Pad,
    Scatter,
)

OLDEST_OPSET = 13
"""Before 13, Softmax normalised over all trailing axes at once."""

_SINCE: dict[type[OpAttrs], int] = {
    HardSwish: 14,
    LayerNorm: 17,
    Mish: 18,
    Gelu: 20,
    BitwiseAnd: 18,
    BitwiseOr: 18,
    BitwiseXor: 18,
}
"""Ops that came, or got their present meaning, after `OLDEST_OPSET` (onnx/docs/Changelog.md)."""

_IR_VERSION = {13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9}
"""The IR version released together with each opset (onnx/docs/Versioning.md)."""


def opset_for(graph: Graph) -> int:
    """The lowest opset that expresses a prepared graph."""
    return max((_needed(node) for node in graph.nodes), default=OLDEST_OPSET)


def ir_version_for(opset: int) -> int:
    return _IR_VERSION[opset]


def pads_before_a_pool(node: Node) -> bool:
    """Whether a pad needs its axes named (since opset 18).

    ONNX Runtime joins a pad of zeros with the pool behind it, but for those that name their axes: max pools then answer
    as if it were minus infinity, and padding as wide as the window is refused.
    """
    if not isinstance(node.op, Pad) or node.op.value != 0:
        return False
    return any(isinstance(user.op, MaxPool | AveragePool) for user in node.output.users)


def _needed(node: Node) -> int:
    op = node.op
    if pads_before_a_pool(node):
        return 18
    if isinstance(op, AveragePool) and any(step != 1 for step in op.dilation):
        return 19
    if isinstance(op, Scatter) and op.add:
        return 16  # the ``reduction`` attribute
    return _SINCE.get(type(op), OLDEST_OPSET)
