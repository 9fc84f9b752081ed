"""Resampling, channels last."""

from __future__ import annotations

from ....exporter.graph import Node
from ....exporter.ops import Layout, Resize, ResizeMode
from ...emit import Refusal
from ..emitters import emits, floats_only
from ..writer import Writer


def _two_dimensional(node: Node) -> Refusal | None:
    assert isinstance(node.op, Resize)
    if len(node.op.size) != 2:
        return Refusal(
            f"the browser's kernels work over two spatial axes, not {len(node.op.size)}",
            "use a 2-D layer, or export to onnx: --to onnx",
            "TP102",
        )
    return floats_only(node)


@emits(Resize, accepts=_two_dimensional)
def resize(node: Node, writer: Writer) -> None:
    op, x, y = node.op, node.inputs[0], node.output
    assert isinstance(op, Resize) and op.layout is Layout.CHANNELS_LAST
    operand = writer.operand(x)
    geometry = [*x.type.shape, *y.type.shape[1:3]]
    if op.mode is ResizeMode.NEAREST:
        writer.call("resize_nearest", writer.result(y), operand, geometry)
    else:
        writer.call("resize_bilinear", writer.result(y), operand, geometry, int(op.align_corners))
