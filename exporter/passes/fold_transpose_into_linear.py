"""Lets the weight of a linear layer take in the transpose before a flatten.

before:  %1 = transpose(%x, [0, 3, 1, 2])    %2 = reshape(%1, [batch, C*H*W])    %3 = linear(%2, w)
after:   %2 = reshape(%x, [batch, H*W*C])    %3 = linear(%2, w')

w' has the columns of w in the order in which the cells now come. Cellwise ops in between do not hinder.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..graph import Graph, Node, Value
from ..ops import Linear, Reshape, Transpose, UnaryOp
from .dead_code import remove_dead_code


def fold_transpose_into_linear(graph: Graph) -> bool:
    """True when a transpose was taken in."""
    changed = False
    for node in graph.nodes:
        if isinstance(node.op, Transpose) and node.op.perm[0] == 0:
            flatten = _only_flatten(graph, node)
            layers = _readers(graph, flatten.output) if flatten else None
            if flatten and layers:
                _fold(graph, node, node.op, flatten, layers)
                changed = True
    if changed:
        remove_dead_code(graph)
    return changed


def _only_flatten(graph: Graph, transpose: Node) -> Node | None:
    """The reshape to [batch, all the rest] that alone reads the transpose."""
    y = transpose.output
    if len(y.users) != 1 or graph.is_output(y):
        return None
    (reader,) = y.users
    if not isinstance(reader.op, Reshape) or len(reader.op.shape) != 2 or reader.op.shape[0] != y.type.shape[0]:
        return None
    return None if y.type.with_shape(y.type.shape[1:]).free_names else reader


def _readers(graph: Graph, value: Value) -> list[Node] | None:
    """The linear layers that read a value, through cellwise ops; None when anybody else does."""
    if graph.is_output(value):
        return None
    found: list[Node] = []
    for user in value.users:
        if isinstance(user.op, UnaryOp):
            behind = _readers(graph, user.output)
            if behind is None:
                return None
            found += behind
        elif isinstance(user.op, Linear) and user.inputs[0] is value and user.inputs[1].is_constant:
            found.append(user)
        else:
            return None
    return found


def _fold(graph: Graph, transpose: Node, op: Transpose, flatten: Node, layers: Sequence[Node]) -> None:
    x = transpose.inputs[0]
    seen = transpose.output.type.with_shape(transpose.output.type.shape[1:]).static_shape()
    back = [0] * len(seen)
    for position, axis in enumerate(op.perm[1:]):
        back[axis - 1] = position
    graph.set_inputs(flatten, [x])
    for layer in dict.fromkeys(layers):
        weight = layer.inputs[1]
        columns = weight.array().reshape(-1, *seen).transpose(0, *(axis + 1 for axis in back))
        folded = np.ascontiguousarray(columns).reshape(weight.type.static_shape())
        graph.set_inputs(layer, [layer.inputs[0], graph.rebuild_constant(weight, folded), *layer.inputs[2:]])
