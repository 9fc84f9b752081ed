"""Lets a window op pad for itself.

before:  %1 = pad(%x, 0)       %2 = conv2d(%1, w) {padding=0}
after:   %2 = conv2d(%x, w) {padding=…}

Fires for zeros (of a quantized tensor: its zero point) before a convolution, for zeros before an average pool that
counts its padding, for minus infinity before a max pool, and only where nothing but spatial axes is padded, no axis is
made shorter, and an average pool is not padded by its window.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ..graph import Graph, Node, Shape
from ..ops import AveragePool, Conv, MaxPool, Pad


def fuse_pad(graph: Graph) -> bool:
    """True when a pad was folded."""
    changed = False
    for node in graph.nodes:
        op = node.op
        pad = node.inputs[0].producer if node.inputs else None
        if not isinstance(op, Conv | MaxPool | AveragePool) or pad is None or not isinstance(pad.op, Pad):
            continue
        if not _neutral(node, pad.op):
            continue
        spatial = op.layout.spatial_axes(node.inputs[0].type.rank)
        first, last = known(pad.op.before), known(pad.op.after)
        if first is None or last is None or any(first[i] or last[i] for i in range(len(first)) if i not in spatial):
            continue
        if min(first + last) < 0:  # what is cut off is zero for the op, and not what it was
            continue
        padding = tuple(
            (before + first[axis], after + last[axis])
            for (before, after), axis in zip(op.padding, spatial, strict=True)
        )
        if isinstance(op, AveragePool) and any(
            max(pair) >= size for pair, size in zip(padding, op.kernel, strict=True)
        ):
            continue  # ONNX Runtime refuses it
        graph.set_op(node, replace(op, padding=padding), [pad.inputs[0], *node.inputs[1:]])
        if not pad.output.users and not graph.is_output(pad.output):
            graph.remove(pad)
        changed = True
    return changed


def known(dims: Shape) -> tuple[int, ...] | None:
    """The dims, where all of them are numbers."""
    numbers = tuple(dim for dim in dims if isinstance(dim, int))
    return numbers if len(numbers) == len(dims) else None


def _neutral(node: Node, pad: Pad) -> bool:
    """Whether the padding cells are what the op itself pads with."""
    codes = node.inputs[0].quantization
    if codes is not None:
        return isinstance(node.op, Conv) and pad.value == codes.zero_point
    if isinstance(node.op, MaxPool):
        return pad.value == -math.inf
    if isinstance(node.op, AveragePool):
        return pad.value == 0 and node.op.count_include_pad
    return pad.value == 0
