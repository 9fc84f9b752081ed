"""Lets linear layers take in the scale and offset of the layer norm before them.

before:  %1 = layer_norm(%x, scale, offset)    %2 = linear(%1, w, b)    %3 = linear(%1, v)
after:   %1 = layer_norm(%x)                   %2 = linear(%1, w', b')    %3 = linear(%1, v', c)

w' = w * scale, a factor a column, and b' = b + w @ offset, computed in float64. What a norm gives is about 1 in size,
so neither costs digits. For targets that write a norm as means, sums and products: two of these walk over all of x.
Weights that were rounded to be stored in few bits are left as they are: their products would take all 32 again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..graph import Graph, Node, Value
from ..graph.stored import stored_forms
from ..ops import LayerNorm, Linear
from .base import Pass, Spells


def fold_norm_into_linear(spells: Spells) -> Pass:
    """The pass for a target; a norm that it can write as it is stays whole."""

    def run(graph: Graph) -> bool:
        changed = False
        if stored_forms(graph.metadata):
            return False
        for node in graph.nodes:
            if isinstance(node.op, LayerNorm) and len(node.inputs) > 1 and _folds(graph, node) and not spells(node):
                _fold(graph, node)
                changed = True
        return changed

    return run


def _folds(graph: Graph, norm: Node) -> bool:
    """Whether only linear layers of constants of their own read a norm over the last axis."""
    assert isinstance(norm.op, LayerNorm)
    y = norm.output
    if norm.op.axes != 1 or graph.is_output(y) or not y.users or not all(_plain(v) for v in norm.inputs[1:]):
        return False
    for user in y.users:
        if not isinstance(user.op, Linear) or user.inputs[0] is not y:
            return False
        if not all(_plain(value) for value in user.inputs[1:]) or len(user.inputs[1].users) > 1:
            return False
    return True


def _plain(value: Value) -> bool:
    return value.is_constant


def _fold(graph: Graph, norm: Node) -> None:
    scale, *offsets = (value.array().astype(np.float64) for value in norm.inputs[1:])
    for layer in tuple(norm.output.users):
        weight = layer.inputs[1]
        dtype = weight.array().dtype
        # The factor is rounded to the weight's dtype once, so that no float64 copy of the weights is made.
        operands = [layer.inputs[0], graph.rebuild_constant(weight, weight.array() * scale.astype(dtype))]
        biases = layer.inputs[2:]
        if offsets:
            rows: Any = weight.array()  # numpy's types know no einsum of a dtype that is known later
            shift = np.einsum("oi,i->o", rows, offsets[0])
            if biases:
                biases = (graph.rebuild_constant(biases[0], (biases[0].array() + shift).astype(dtype)),)
            else:
                biases = (graph.add_constant(shift.astype(dtype), f"{layer.name}.bias"),)
        graph.set_inputs(layer, [*operands, *biases])
    graph.set_inputs(norm, norm.inputs[:1])
