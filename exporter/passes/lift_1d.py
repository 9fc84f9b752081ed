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
    x = _reshaped(graph, node, node.inputs[0], _with_axis(node.inputs[0].type.shape, layout))
    operands = [x, *node.inputs[1:]]
    if isinstance(op, Conv | ConvTranspose):
        weight = node.inputs[1].array()
        shape = _with_axis(weight.shape, layout)
        operands[1] = graph.add_constant(weight.reshape([int(d) for d in shape if isinstance(d, int)]), node.inputs[1].name)
    y = graph.add(op, *operands, name=node.name, source=node.source)
    graph.replace(node.output, _reshaped(graph, node, y, node.output.type.shape))
    graph.remove(node)


def _with_axis(shape: Shape, layout: Layout) -> Shape:
    at = 1 if layout is Layout.CHANNELS_LAST else 2
    return (*shape[:at], 1, *shape[at:])


def _reshaped(graph: Graph, node: Node, value: Value, shape: Shape) -> Value:
    return graph.add(Reshape(shape), value, name=f"{node.name}/reshape", source=node.source)
