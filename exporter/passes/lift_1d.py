"""Writes window ops over one spatial axis over two, the first of size 1, for targets that only know images.

before:  %1 = conv1d(%x [N, W, C], w [O, k, I])
after:   %2 = reshape(%x, [N, 1, W, C])    %3 = conv2d(%2, w' [O, 1, k, I])    %1 = reshape(%3, [N, W', O])
"""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph, Node, Shape, Value
from ..ops import AveragePool, Conv, ConvTranspose, Layout, MaxPool, OpAttrs, Reshape, Resize


def lift_1d(graph: Graph) -> bool:
    """True when an op was lifted."""
    changed = False
    for node in graph.nodes:
        lifted = _lifted(node.op)
        if lifted is not None:
            _rewrite(graph, node, lifted)
            changed = True
    return changed


def _lifted(op: OpAttrs) -> OpAttrs | None:
    """The op over two axes; None when it is not over one."""
    if isinstance(op, Conv | ConvTranspose) and len(op.stride) == 1:
        return replace(op, stride=(1, *op.stride), padding=((0, 0), *op.padding), dilation=(1, *op.dilation))
    if isinstance(op, MaxPool | AveragePool) and len(op.kernel) == 1:
        return replace(
            op,
            kernel=(1, *op.kernel),
            stride=(1, *op.stride),
            padding=((0, 0), *op.padding),
            dilation=(1, *op.dilation),
        )
    if isinstance(op, Resize) and len(op.size) == 1:
        return replace(op, size=(1, *op.size))
    return None


def _rewrite(graph: Graph, node: Node, op: OpAttrs) -> None:
    layout = getattr(node.op, "layout", Layout.CHANNELS_LAST)
    name = f"{node.name}/reshape"
    given = node.inputs[0]
    x = graph.add(Reshape(_with_axis(given.type.shape, layout)), given, name=name, source=node.source)
    operands = [x, *node.inputs[1:]]
    if isinstance(op, Conv | ConvTranspose):
        operands[1] = _lifted_weight(graph, node, layout)
    y = graph.rebuild(node, op, operands).output
    back = graph.add(Reshape(node.output.type.shape), y, name=name, source=node.source)
    graph.replace(node.output, back)
    graph.remove(node)


def _lifted_weight(graph: Graph, node: Node, layout: Layout) -> Value:
    weight = node.inputs[1]
    shape = _with_axis(weight.type.shape, layout)
    if weight.is_constant:
        return graph.rebuild_constant(weight, weight.array().reshape(weight.type.with_shape(shape).static_shape()))
    return graph.add(Reshape(shape), weight, name=f"{node.name}/weight", source=node.source)


def _with_axis(shape: Shape, layout: Layout) -> Shape:
    at = 1 if layout is Layout.CHANNELS_LAST else 2
    return (*shape[:at], 1, *shape[at:])
