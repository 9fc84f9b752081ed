"""Cells by number."""

from __future__ import annotations

import numpy as np

from ....exporter.graph import DType, Node
from ....exporter.ops import Gather, Iota, Scatter, Size, TakeAlong
from ..emitters import emits
from ..sizes import shape_tensor
from ..writer import OnnxWriter, onnx_dtype


@emits(Iota)
def iota(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, Iota)
    bounds = [shape_tensor(writer, node, [node.op.size], "stop"), writer.ints(node, "axes", [0])]
    stop = writer.node("Squeeze", node, bounds, output=f"{node.name}/limit")
    first, step = (writer.constant(node, role, np.asarray(n)) for role, n in (("first", 0), ("step", 1)))
    writer.node("Range", node, [first, stop, step])


@emits(Size)
def size(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, Size)
    writer.node("Squeeze", node, [shape_tensor(writer, node, [node.op.size], "size"), writer.ints(node, "axes", [0])])


@emits(Gather)
def gather(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, Gather)
    writer.node("Gather", node, axis=node.op.axis)


@emits(TakeAlong)
def take_along(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, TakeAlong)
    writer.node("GatherElements", node, axis=node.op.axis)


@emits(Scatter)
def scatter(node: Node, writer: OnnxWriter) -> None:
    """ScatterND takes int64 indices [M, 1]."""
    assert isinstance(node.op, Scatter)
    x, indices, updates = node.inputs
    wide = writer.name(indices)
    if indices.type.dtype is not DType.INT64:
        wide = writer.node("Cast", node, [indices], output=f"{node.name}/int64", to=onnx_dtype(DType.INT64))
    tuples = writer.node("Unsqueeze", node, [wide, writer.ints(node, "axes", [1])], output=f"{node.name}/indices")
    writer.node("ScatterND", node, [x, tuples, updates], reduction="add" if node.op.add else None)
