"""Reductions. Up to opset 17 all but ReduceSum take their axes as an attribute."""

from __future__ import annotations

from ....exporter.graph import Node
from ....exporter.ops import OpAttrs, ReduceMax, ReduceMean, ReduceMin, ReduceOp, ReduceSum
from ..emitters import emits
from ..writer import OnnxWriter

AXES_ARE_AN_INPUT = 18

_ONNX_NAMES: dict[type[OpAttrs], str] = {
    ReduceMean: "ReduceMean",
    ReduceSum: "ReduceSum",
    ReduceMax: "ReduceMax",
    ReduceMin: "ReduceMin",
}


@emits(*_ONNX_NAMES)
def reduce(node: Node, writer: OnnxWriter) -> None:
    op = node.op
    assert isinstance(op, ReduceOp)
    name = _ONNX_NAMES[type(op)]
    if not op.axes:  # ONNX takes "no axes" for "all axes"
        writer.node("Identity", node)
    elif isinstance(op, ReduceSum) or writer.opset >= AXES_ARE_AN_INPUT:
        writer.node(name, node, [node.inputs[0], writer.ints(node, "axes", op.axes)], keepdims=int(op.keepdims))
    else:
        writer.node(name, node, axes=op.axes, keepdims=int(op.keepdims))
