"""Conv and ConvTranspose."""

from __future__ import annotations

from typing import Any

from ....exporter.graph import Node
from ....exporter.ops import Conv, ConvTranspose, Layout, QuantizedConv
from ....exporter.ops.conv import Padding
from ...emit import Refusal
from ..emitters import emits
from ..writer import OnnxWriter


def onnx_pads(padding: Padding) -> list[int]:
    """All befores, then all afters."""
    return [before for before, _ in padding] + [after for _, after in padding]


def window(op: Conv | QuantizedConv | ConvTranspose, padding: Padding) -> dict[str, Any]:
    """What says where a filter looks, without what ONNX takes for granted."""
    stated: dict[str, tuple[Any, Any]] = {
        "strides": (list(op.stride), 1),
        "pads": (onnx_pads(padding), 0),
        "dilations": (list(op.dilation), 1),
    }
    given = {name: numbers for name, (numbers, usual) in stated.items() if any(n != usual for n in numbers)}
    return given | ({"group": op.groups} if op.groups != 1 else {})


@emits(Conv)
def conv(node: Node, writer: OnnxWriter) -> None:
    op = node.op
    assert isinstance(op, Conv) and op.layout is Layout.CHANNELS_FIRST
    writer.node("Conv", node, kernel_shape=op.kernel(node.inputs[1].type), **window(op, op.padding))


def _extends(node: Node) -> Refusal | None:
    op = node.op
    assert isinstance(op, ConvTranspose)
    for (before, after), step, spread in zip(op.padding, op.stride, op.dilation, strict=True):
        if before < 0 or -after >= max(step, spread):
            return Refusal("output_padding must be smaller than the stride or the dilation", "pad the result instead")
    return None


@emits(ConvTranspose, accepts=_extends)
def conv_transpose(node: Node, writer: OnnxWriter) -> None:
    op = node.op
    assert isinstance(op, ConvTranspose) and op.layout is Layout.CHANNELS_FIRST
    writer.node(
        "ConvTranspose",
        node,
        kernel_shape=op.kernel(node.inputs[1].type),
        output_padding=[max(-after, 0) for _, after in op.padding],
        **window(op, tuple((before, max(after, 0)) for before, after in op.padding)),
    )
