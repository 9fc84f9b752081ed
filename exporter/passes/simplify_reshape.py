"""Removes reshapes that do nothing, makes one of two in a row, and lets them wait until after cellwise ops.

before:  %1 = conv2d(%x, w)    %2 = reshape(%1, [batch, 8, 4])    %3 = relu(%2)    %4 = reshape(%3, [batch, 1, 8, 4])
after:   %1 = conv2d(%x, w)    %3 = relu(%1)

Behind a cellwise op a reshape meets the next one, and the op stands next to the layer that may take it in. An op on
two tensors counts as cellwise when both are reshaped from the same shape, or one of them is a single number.

A linear layer between two reshapes works on rows, however they are counted, and needs but the first:

before:  %1 = reshape(%x, [batch*length, heads*width])    %2 = linear(%1, w)    %3 = reshape(%2, [batch, length, N])
after:   %1 = reshape(%x, [batch, length, heads*width])   %3 = linear(%1, w)

A reduction lets the axes go itself:

before:  %1 = reduce_mean(%x, axes 1, 2, kept)    %2 = reshape(%1, [batch, channels])
after:   %2 = reduce_mean(%x, axes 1, 2)
"""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph, Node, Shape, Value
from ..ops import BinaryOp, Cast, Linear, ReduceOp, Reshape, UnaryOp
from .base import only_user_is
from .dead_code import remove_dead_code


def simplify_reshape(graph: Graph) -> bool:
    """True when a reshape was moved or removed."""
    changed = False
    while sum(_step(graph, node) for node in graph.nodes):
        remove_dead_code(graph)
        changed = True
    return changed


def _step(graph: Graph, node: Node) -> bool:
    if not any(value.users or graph.is_output(value) for value in node.outputs):
        return False  # dead already, left behind by an earlier step
    if isinstance(node.op, Reshape):
        return any(simplify(graph, node, node.op) for simplify in (_merge, _before_linear, _into_reduction))
    if isinstance(node.op, UnaryOp | BinaryOp | Cast):
        return _wait(graph, node)
    return False


def _merge(graph: Graph, node: Node, op: Reshape) -> bool:
    first = node.inputs[0].producer
    merges = first is not None and isinstance(first.op, Reshape)
    if first is not None and merges:
        graph.set_inputs(node, [first.inputs[0]])
    if node.inputs[0].type.shape == op.shape:
        graph.replace(node.output, node.inputs[0])
        return True
    return merges


def _before_linear(graph: Graph, node: Node, op: Reshape) -> bool:
    layer = node.inputs[0].producer
    if layer is None or not isinstance(layer.op, Linear) or not only_user_is(layer.output, graph, Reshape):
        return False
    before = layer.inputs[0].producer
    if before is None or not isinstance(before.op, Reshape) or op.shape[-1:] != layer.output.type.shape[-1:]:
        return False
    rows = Reshape((*op.shape[:-1], layer.inputs[0].type.shape[-1]))
    x = graph.add(rows, before.inputs[0], name=node.name, source=node.source)
    graph.replace(node.output, graph.rebuild(layer, layer.op, [x, *layer.inputs[1:]]).output)
    return True


def _into_reduction(graph: Graph, node: Node, op: Reshape) -> bool:
    before = node.inputs[0].producer
    if before is None or not isinstance(before.op, ReduceOp) or not before.op.keepdims:
        return False
    left = tuple(size for axis, size in enumerate(before.output.type.shape) if axis not in before.op.axes)
    if op.shape != left or not only_user_is(before.output, graph, Reshape):
        return False
    graph.replace(node.output, graph.rebuild(before, replace(before.op, keepdims=False), before.inputs).output)
    return True


def _wait(graph: Graph, node: Node) -> bool:
    given: set[Shape] = set()
    operands: list[Value] = []
    for value in node.inputs:
        before = value.producer
        if before is not None and isinstance(before.op, Reshape) and value.type.shape == node.output.type.shape:
            given.add(before.inputs[0].type.shape)
            operands.append(before.inputs[0])
        elif value.type.shape in ((), (1,)):
            operands.append(value)
        else:
            return False
    if len(given) != 1 or not all(len(shape) for shape in given):
        return False
    name, shape = node.name, node.output.type.shape
    y = graph.rebuild(node, node.op, operands).output
    graph.replace(node.output, graph.add(Reshape(shape), y, name=f"{name}/reshape", source=node.source))
    return True
