"""Lets the weight and bias of a linear layer take in the factor that its outputs are multiplied by.

before:  %1 = linear(%x, w, b)    %2 = transpose(%1)    %3 = mat_mul(%2, %k)    %4 = mul(%3, 0.125)
after:   %1 = linear(%x, 0.125*w, 0.125*b)    %2 = transpose(%1)    %4 = mat_mul(%2, %k)

A single number gets past reshapes, transposes and products on its way to the layer, as the one attention divides its
queries or scores by; a factor for each output has to stand right behind it, as the layer scale of deep transformers.
Where the factor is a power of two, as for heads of 16 or 64 numbers, not a bit changes.
"""

from __future__ import annotations

import numpy as np

from ..graph import Array, Graph, Node, Value
from ..graph.stored import stored_forms
from ..ops import Activation, Div, Linear, MatMul, Mul, Reshape, Transpose

LARGEST = 2.0**16
"""Factors up to so far from 1 on either side leave weights in their dtype's range."""


def fold_scale_into_linear(graph: Graph) -> bool:
    """True when a factor was taken in; weights that files hold in few bits are left alone: they would need more."""
    changed = False
    if stored_forms(graph.metadata):
        return False
    for node in graph.nodes:
        if not isinstance(node.op, Mul | Div) or node.op.activation is not Activation.NONE:
            continue
        if node.output.quantization is not None:
            continue
        x, factor = _scaled(node)
        layer = _layer(graph, x, factor) if factor is not None else None
        if layer is not None and factor is not None:
            _fold(graph, layer, factor)
            graph.hand_name_over(node, x)
            graph.replace(node.output, x)
            graph.remove(node)
            changed = True
    return changed


def _scaled(node: Node) -> tuple[Value, Array | None]:
    """What is scaled, and the factor in float64: one number, or one for each cell of the last axis; None for others."""
    x, by = node.inputs
    if x.is_constant and isinstance(node.op, Mul):
        x, by = by, x
    if not by.is_constant or by.quantization is not None or not by.type.dtype.is_float:
        return x, None
    if x.type.shape != node.output.type.shape or by.type.static_shape() not in ((), (1,), x.type.shape[-1:]):
        return x, None
    factor = by.array().astype(np.float64)
    if not np.all((np.abs(factor) >= 1 / LARGEST) & (np.abs(factor) <= LARGEST)):
        return x, None
    return x, 1 / factor if isinstance(node.op, Div) else factor


def _layer(graph: Graph, value: Value, factor: Array) -> Node | None:
    """The linear layer whose outputs, and nothing else, a value is made of."""
    while True:
        node = value.producer
        if node is None or len(value.users) != 1 or graph.is_output(value) or value.quantization is not None:
            return None
        if isinstance(node.op, Linear):
            own = all(v.is_constant and v.quantization is None and len(v.users) == 1 for v in node.inputs[1:])
            return node if own and node.op.activation is Activation.NONE else None
        if factor.size != 1 or not isinstance(node.op, Reshape | Transpose | MatMul):
            return None
        if node.inputs[0] in node.inputs[1:]:
            return None  # a product of a tensor with itself would be scaled twice
        value = node.inputs[0]


def _fold(graph: Graph, layer: Node, factor: Array) -> None:
    x, weight, *biases = layer.inputs
    folded = [graph.rebuild_constant(weight, _times(weight, factor.reshape(-1, 1)))]
    folded += [graph.rebuild_constant(bias, _times(bias, factor.reshape(-1))) for bias in biases]
    graph.set_inputs(layer, [x, *folded])


def _times(value: Value, factor: Array) -> Array:
    """In the dtype of ``value``, so that no float64 copy of a weight is made."""
    array = value.array()
    return array * factor.astype(array.dtype)
