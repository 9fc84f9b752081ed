"""Reductions. Up to opset 17 all but ReduceSum take their axes as an attribute."""

from __future__ import annotations

import numpy as np

from ....exporter.graph import Node, Value
from ....exporter.ops import (
    ArgMax,
    ArgMin,
    ArgOp,
    CumSum,
    OpAttrs,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceOp,
    ReduceProd,
    ReduceSum,
    TopK,
)
from ..emitters import emits
from ..writer import OnnxWriter

AXES_ARE_AN_INPUT = 18

_ONNX_NAMES: dict[type[OpAttrs], str] = {
    ReduceMean: "ReduceMean",
    ReduceSum: "ReduceSum",
    ReduceMax: "ReduceMax",
    ReduceMin: "ReduceMin",
    ReduceProd: "ReduceProd",
}


@emits(*_ONNX_NAMES)
def reduce(node: Node, writer: OnnxWriter) -> None:
    op = node.op
    assert isinstance(op, ReduceOp)
    if not op.axes:  # ONNX takes "no axes" for "all axes"
        writer.node("Identity", node)
    else:
        reduce_node(writer, node, _ONNX_NAMES[type(op)], node.inputs[0], op.axes, keepdims=op.keepdims)


def reduce_node(
    writer: OnnxWriter,
    node: Node,
    onnx_name: str,
    x: Value | str,
    axes: tuple[int, ...],
    *,
    keepdims: bool = True,
    output: str | None = None,
) -> str:
    """A reduction over axes of which there is at least one; returns the name of its output."""
    if onnx_name == "ReduceSum" or writer.opset >= AXES_ARE_AN_INPUT:
        operands = [x, writer.ints(node, "axes", axes)]
        return writer.node(onnx_name, node, operands, output=output, keepdims=int(keepdims))
    return writer.node(onnx_name, node, [x], output=output, axes=axes, keepdims=int(keepdims))


@emits(ArgMax, ArgMin)
def position(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, ArgOp)
    name = "ArgMax" if isinstance(node.op, ArgMax) else "ArgMin"
    writer.node(name, node, axis=node.op.axis, keepdims=int(node.op.keepdims))


@emits(CumSum)
def cumulated(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, CumSum)
    writer.node("CumSum", node, [node.inputs[0], writer.constant(node, "axis", np.asarray(node.op.axis, np.int64))])


@emits(TopK)
def top_k(node: Node, writer: OnnxWriter) -> None:
    op = node.op
    assert isinstance(op, TopK)
    count = writer.ints(node, "k", [op.k])
    writer.node("TopK", node, [node.inputs[0], count], axis=op.axis, largest=int(op.largest), sorted=1)
