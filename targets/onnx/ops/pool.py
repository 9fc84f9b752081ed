"""MaxPool and AveragePool."""

from __future__ import annotations

from ....exporter.graph import Node
from ....exporter.ops import AveragePool, Layout, MaxPool
from ..emitters import emits
from ..writer import OnnxWriter
from .conv import onnx_pads


@emits(MaxPool)
def max_pool(node: Node, writer: OnnxWriter) -> None:
    op = node.op
    assert isinstance(op, MaxPool) and op.layout is Layout.CHANNELS_FIRST
    writer.node(
        "MaxPool", node, kernel_shape=op.kernel, strides=op.stride, pads=onnx_pads(op.padding), dilations=op.dilation
    )


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
