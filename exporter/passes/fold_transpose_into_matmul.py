"""Lets a product read its second operand transposed, as attention does with its keys.

before:  %1 = transpose(%k, [0, 1, 3, 2])    %2 = mat_mul(%q, %1)
after:   %2 = mat_mul(%q, %k) {transpose_b=true}

before:  %1 = transpose(%k, [0, 2, 3, 1])    %2 = mat_mul(%q, %1)
after:   %1 = transpose(%k, [0, 2, 1, 3])    %2 = mat_mul(%q, %1) {transpose_b=true}

The second leaves the last axis where it is: that transpose moves whole rows, and may meet its like.
"""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph, Node
from ..ops import MatMul, Transpose
from ..ops.base import Perm
from .base import only_user_is
from .dead_code import remove_dead_code


def fold_transpose_into_matmul(graph: Graph) -> bool:
    """True when a transpose was taken in."""
    changed = False
    for node in graph.nodes:
        before = node.inputs[1].producer if isinstance(node.op, MatMul) else None
        if before is not None and isinstance(before.op, Transpose):
            changed = _fold(graph, node, before, before.op.perm) or changed
    if changed:
        remove_dead_code(graph)
    return changed


def _fold(graph: Graph, node: Node, before: Node, perm: Perm) -> bool:
    assert isinstance(node.op, MatMul)
    if perm[-2] != len(perm) - 1:
        return False
    kept = (*perm[:-2], perm[-1], perm[-2])
    b = before.inputs[0]
    if kept != tuple(range(len(kept))):
        if not only_user_is(before.output, graph, MatMul) or node.inputs[0] is before.output:
            return False
        b = graph.rebuild(before, Transpose(kept), [b]).output
    product = graph.rebuild(node, replace(node.op, transpose_b=not node.op.transpose_b), [node.inputs[0], b])
    graph.replace(node.output, product.output)
    return True
