"""MaxPool and AveragePool."""

from __future__ import annotations

import math

from ....exporter.graph import Node
from ....exporter.ops import AveragePool, Layout, MaxPool
from ....exporter.ops.quantized import LOWEST
from ..emitters import emits
from ..writer import OnnxWriter
from .conv import onnx_pads


@emits(MaxPool)
def max_pool(node: Node, writer: OnnxWriter) -> None:
    op = node.op
    assert isinstance(op, MaxPool) and op.layout is Layout.CHANNELS_FIRST
    x, pads = writer.name(node.inputs[0]), onnx_pads(op.padding)
    if any(pad >= size for pad, size in zip(pads, op.kernel * 2, strict=True)):
        # ONNX Runtime wants padding smaller than the window without its gaps; a dilated window may hang over further.
        outside = writer.cell(node, "outside", -math.inf if node.output.quantization is None else LOWEST)
        spatial = len(op.kernel)
        around = writer.ints(node, "pads", (0, 0, *pads[:spatial], 0, 0, *pads[spatial:]))
        x = writer.node("Pad", node, [x, around, outside], output=f"{node.name}/padded")
        pads = [0] * len(pads)
    writer.node("MaxPool", node, [x], kernel_shape=op.kernel, strides=op.stride, pads=pads, dilations=op.dilation)


@emits(AveragePool)
def average_pool(node: Node, writer: OnnxWriter) -> None:
    op = node.op
    assert isinstance(op, AveragePool) and op.layout is Layout.CHANNELS_FIRST
    writer.node(
        "AveragePool",
        node,
        kernel_shape=op.kernel,
        strides=op.stride,
        pads=onnx_pads(op.padding),
        count_include_pad=int(op.count_include_pad),
    )
