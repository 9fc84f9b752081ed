"""Moves transposes towards the outputs until they meet their inverse, become a reshape, or a weight takes them in.

before:  %1 = transpose(%x, p)    %2 = relu(%1)    %3 = transpose(%2, p⁻¹)
after:   %3 = relu(%x)

Four rules, applied until none fires:
  merge    two transposes in a row are one; the identity is none
  free     a transpose that moves only axes of size 1 is a reshape
  sink     op(transpose(a), transpose(b)) becomes transpose(op'(a, b)), op' being what the op's layout rule says;
           constants are permuted here, and an operand that only has axes of size 1 to move is reshaped
  reduce   a reduction that drops the moved axes drops the transpose with them
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..graph import Graph, Node, Shape, Value
from ..ops import ReduceOp, Reshape, Transpose
from ..ops.base import Perm, inverse_perm
from .dead_code import remove_dead_code


def cancel_transposes(graph: Graph) -> bool:
    """True when a transpose was moved or removed."""
    changed = False
    while sum(_step(graph, node) for node in graph.nodes if node.inputs):
        remove_dead_code(graph)
        changed = True
    return changed


def _step(graph: Graph, node: Node) -> bool:
    if len(node.outputs) > 1 or not (node.output.users or graph.is_output(node.output)):
        return False  # several outputs have several layouts; or dead already, left behind by an earlier step
    if isinstance(node.op, Transpose):
        return _merge(graph, node, node.op) or _make_free(graph, node, node.op)
    if isinstance(node.op, ReduceOp) and not node.op.keepdims:
        return _reduce(graph, node, node.op)
    return _sink(graph, node)


def is_identity(perm: Perm) -> bool:
    return perm == tuple(range(len(perm)))


def moves_only_ones(shape: Shape, perm: Perm) -> bool:
    """Whether the axes of another size than 1 keep their order."""
    kept = [axis for axis in perm if shape[axis] != 1]
    return kept == sorted(kept)


def _merge(graph: Graph, node: Node, op: Transpose) -> bool:
    if is_identity(op.perm):
        graph.replace(node.output, node.inputs[0])
        return True
    first = node.inputs[0].producer
    if first is None or not isinstance(first.op, Transpose):
        return False
    perm = tuple(first.op.perm[axis] for axis in op.perm)
    merged = first.inputs[0]
    if not is_identity(perm):
        merged = graph.rebuild(node, Transpose(perm), [merged]).output
    graph.replace(node.output, merged)
    return True


def _make_free(graph: Graph, node: Node, op: Transpose) -> bool:
    x = node.inputs[0]
    if not moves_only_ones(x.type.shape, op.perm):
        return False
    graph.replace(node.output, graph.rebuild(node, Reshape(node.output.type.shape), [x]).output)
    return True


def _reduce(graph: Graph, node: Node, op: ReduceOp) -> bool:
    before = node.inputs[0].producer
    if before is None or not isinstance(before.op, Transpose):
        return False
    name, perm = node.name, before.op.perm
    axes = tuple(sorted(perm[axis] for axis in op.axes))
    kept = [axis for axis in perm if axis not in axes]
    y = graph.rebuild(node, replace(op, axes=axes), before.inputs[:1]).output
    if kept != sorted(kept):
        order = tuple(sorted(kept).index(axis) for axis in kept)
        y = graph.add(Transpose(order), y, name=f"{name}/transpose", source=node.source)
    graph.replace(node.output, y)
    return True


def _sink(graph: Graph, node: Node) -> bool:
    perm = _common_perm(node)
    if perm is None:
        return False
    back = inverse_perm(perm)
    op = node.op.permuted(back)
    if op is None:
        return False
    data = node.inputs[: node.op.parameters]
    if not all(_is_free(value, back, perm) for value in data):
        return False
    operands = [_permuted(graph, node, value, back, perm) for value in data]
    name = node.name
    y = graph.rebuild(node, op, [*operands, *node.inputs[len(data) :]]).output
    back_again = graph.add(Transpose(perm), y, name=f"{name}/transpose", source=node.source)
    graph.replace(node.output, back_again)
    return True


def _common_perm(node: Node) -> Perm | None:
    """The permutation of the first operand that is a transpose of the output's rank."""
    for value in node.inputs[: node.op.parameters]:
        if value.producer is not None and isinstance(value.producer.op, Transpose):
            perm = value.producer.op.perm
            return perm if len(perm) == node.output.type.rank else None
    return None


def _is_free(value: Value, back: Perm, perm: Perm) -> bool:
    """Whether the operand can be had with its axes moved back at no cost."""
    if value.is_constant or value.type.elements == 1:
        return True
    if value.producer is not None and isinstance(value.producer.op, Transpose) and value.producer.op.perm == perm:
        return True
    return moves_only_ones(_full_shape(value, len(perm)), back)


def _full_shape(value: Value, rank: int) -> Shape:
    return (1,) * (rank - value.type.rank) + value.type.shape


def _permuted(graph: Graph, node: Node, value: Value, back: Perm, perm: Perm) -> Value:
    """The operand with its axes moved back."""
    producer = value.producer
    if producer is not None and isinstance(producer.op, Transpose) and producer.op.perm == perm:
        return producer.inputs[0]
    if value.type.elements == 1 and value.type.rank < len(perm):
        return value
    full = _full_shape(value, len(perm))
    if value.is_constant:
        array = value.array().reshape(value.type.with_shape(full).static_shape()).transpose(back)
        return graph.rebuild_constant(value, np.ascontiguousarray(array))
    moved = tuple(full[axis] for axis in back)
    if moved == value.type.shape:
        return value
    return graph.add(Reshape(moved), value, name=f"{node.name}/reshape", source=node.source)
