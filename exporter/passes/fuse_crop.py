"""Lets a transposed convolution crop its own result.

before:  %1 = conv_transpose2d(%x, w)    %2 = slice(%1)
after:   %2 = conv_transpose2d(%x, w) {padding=…}
"""

from __future__ import annotations

from dataclasses import replace

from ..graph import Graph, Node
from ..ops import ConvTranspose, Slice
from .base import only_user_is


def fuse_crop(graph: Graph) -> bool:
    """True when a slice was folded."""
    changed = False
    for node in graph.nodes:
        if not isinstance(node.op, Slice):
            continue
        x = node.inputs[0]
        conv = x.producer
        if conv is None or not isinstance(conv.op, ConvTranspose) or not only_user_is(x, graph, Slice):
            continue
        cropped = _cropped(conv, conv.op, node.op)
        if cropped is not None:
            fused = graph.rebuild(conv, cropped, conv.inputs)
            graph.replace(node.output, fused.output)
            graph.remove(node)
            graph.remove(conv)
            changed = True
    return changed


def _cropped(conv: Node, op: ConvTranspose, crop: Slice) -> ConvTranspose | None:
    rank = conv.output.type.rank
    spatial = list(op.layout.spatial_axes(rank))
    padding = list(op.padding)
    for axis, start, stop, step in zip(crop.axes, crop.starts, crop.stops, crop.steps, strict=True):
        after = conv.output.type.shape[axis] - stop
        if axis not in spatial or step != 1 or not (isinstance(start, int) and isinstance(after, int)) or after < 0:
            return None
        i = spatial.index(axis)
        padding[i] = (padding[i][0] + start, padding[i][1] + after)
    return replace(op, padding=tuple(padding))
