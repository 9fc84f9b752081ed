"""Merges axes that an op treats alike, where a target's kernel has fewer axes than the op's operands.

before:  %1 = pow(%x [N, C, D, H, W], 2.0)
after:   %2 = reshape(%x, [N*C*D*H*W])    %3 = pow(%2, 2.0)    %1 = reshape(%3, [N, C, D, H, W])

Neighbouring axes of a cellwise op merge where each operand has both or repeats along both; of a pad, a slice or a
reversal where it leaves both alone; of a transpose where they stay neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..graph import Graph, Node, Shape, Value
from ..graph.dims import product
from ..ops import BinaryOp, BorderPad, Expand, OpAttrs, Pad, Reshape, Reverse, Slice, Transpose, Where
from .base import Pass, Spells

Groups = list[list[int]]
"""Neighbouring axes that become one, in order."""


def merge_axes(spells: Spells) -> Pass:
    """The pass for a target; ``spells`` says whether it can write a node as it is."""

    def run(graph: Graph) -> bool:
        return sum(merged(graph, node, spells) for node in graph.nodes) > 0

    return run


def merged(graph: Graph, node: Node, spells: Spells) -> bool:
    """Merges the axes of one node if the target can write it then; says whether it did."""
    if len(node.outputs) != 1 or spells(node):
        return False
    groups = _groups(node)
    if groups is None or len(groups) == _rank(node):
        return False
    made: list[Node] = []

    def add(op: OpAttrs, *operands: Value) -> Value:
        value = graph.add(op, *operands, name=f"{node.name}/{op.name}", source=node.source)
        assert value.producer is not None
        made.append(value.producer)
        return value

    rank = _rank(node)
    operands = [add(Reshape(_merged_shape(value.type.shape, groups, rank)), value) for value in node.inputs]
    inner = add(_on_groups(node, groups), *operands)
    inner_node = made[-1]
    outer = add(Reshape(node.output.type.shape), inner)
    if not spells(inner_node):
        for step in reversed(made):
            graph.remove(step)
        return False
    graph.hand_name_over(node, outer)
    graph.replace(node.output, outer)
    graph.remove(node)
    return True


def _rank(node: Node) -> int:
    return max(node.output.type.rank, *(value.type.rank for value in node.inputs))


def _merged_shape(shape: Shape, groups: Groups, rank: int) -> Shape:
    """A shape with its axes merged; numbers of fewer axes than the result stand at its end."""
    full = _aligned(shape, rank)
    return tuple(product(full[axis] for axis in group) for group in groups)


def _aligned(shape: Shape, rank: int) -> Shape:
    return (1,) * (rank - len(shape)) + shape


def _groups(node: Node) -> Groups | None:
    """The axes that the op of a node treats alike; None for an op of another kind."""
    op, rank = node.op, _rank(node)
    if isinstance(op, BinaryOp | Where | Expand):
        return _alike([_aligned(value.type.shape, rank) for value in node.inputs], node.output.type.shape)
    if isinstance(op, Pad | BorderPad):
        return _untouched(rank, [axis for axis in range(rank) if op.before[axis] or op.after[axis]])
    if isinstance(op, Slice | Reverse):
        return _untouched(rank, [axis % rank for axis in op.axes])
    if isinstance(op, Transpose):
        return _neighbours(op.perm)
    return None


def _alike(operands: Sequence[Shape], result: Shape) -> Groups:
    """Each operand has all axes of a group or repeats along all of them; an axis of size 1 fits any group."""
    groups: Groups = []
    kinds: tuple[bool, ...] | None = None
    for axis, size in enumerate(result):
        own = None if size == 1 else tuple(shape[axis] == size for shape in operands)
        if groups and (own is None or kinds is None or own == kinds):
            groups[-1].append(axis)
            kinds = kinds if own is None else own
        else:
            groups.append([axis])
            kinds = own
    return groups


def _untouched(rank: int, touched: Sequence[int]) -> Groups:
    groups: Groups = []
    for axis in range(rank):
        if groups and not {axis, groups[-1][-1]} & set(touched):
            groups[-1].append(axis)
        else:
            groups.append([axis])
    return groups


def _neighbours(perm: Sequence[int]) -> Groups:
    """Groups of the operand's axes."""
    follows = {perm[i + 1] for i in range(len(perm) - 1) if perm[i + 1] == perm[i] + 1}
    groups: Groups = []
    for axis in range(len(perm)):
        if axis in follows:
            groups[-1].append(axis)
        else:
            groups.append([axis])
    return groups


def _on_groups(node: Node, groups: Groups) -> OpAttrs:
    """The op for operands whose axes are merged."""
    op = node.op
    new = {axis: i for i, group in enumerate(groups) for axis in group}
    if isinstance(op, Expand):
        return Expand(_merged_shape(op.shape, groups, len(op.shape)))
    firsts = [group[0] for group in groups]
    if isinstance(op, Pad):
        return Pad(tuple(op.before[axis] for axis in firsts), tuple(op.after[axis] for axis in firsts), op.value)
    if isinstance(op, BorderPad):
        return BorderPad(tuple(op.before[axis] for axis in firsts), tuple(op.after[axis] for axis in firsts), op.mode)
    if isinstance(op, Slice | Reverse):
        return replace(op, axes=tuple(new[axis % len(new)] for axis in op.axes))
    if isinstance(op, Transpose):
        order: list[int] = [new[axis] for axis in op.perm]
        return Transpose(tuple(dict.fromkeys(order)))
    return op
