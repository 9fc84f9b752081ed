"""Cells by number."""

from __future__ import annotations

import numpy as np

from ....exporter.graph import DType, Node, Value
from ....exporter.ops import (
    ArgMax,
    ArgMin,
    Cast,
    Concat,
    Expand,
    Gather,
    Iota,
    Reshape,
    Scatter,
    Size,
    Slice,
    TakeAlong,
    TopK,
    Transpose,
)
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
    writer.node("Gather", node, [node.inputs[0], _never_from_the_end(writer, node)], axis=node.op.axis)


@emits(TakeAlong)
def take_along(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, TakeAlong)
    writer.node("GatherElements", node, [node.inputs[0], _never_from_the_end(writer, node)], axis=node.op.axis)


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


def _never_from_the_end(writer: OnnxWriter, node: Node) -> Value | str:
    """The indices of a gather; what is below 0 goes beyond every size, where ONNX Runtime refuses it.

    ONNX counts -1 from the end; in a graph, as in torch's tables and on the other ports, it is no place at all.
    """
    indices = node.inputs[1]
    if _is_a_place(indices):
        return indices
    dtype = indices.type.dtype.numpy
    zero, beyond = (
        writer.constant(node, role, np.asarray(number, dtype))
        for role, number in (("first", 0), ("beyond", np.iinfo(np.dtype(indices.type.dtype.value)).max))
    )
    negative = writer.node("Less", node, [indices, zero], output=f"{node.name}/negative")
    return writer.node("Where", node, [negative, beyond, indices], output=f"{node.name}/places")


def _is_a_place(value: Value) -> bool:
    """Whether no number can be below 0."""
    if value.is_constant:
        array = value.array()
        return not array.size or int(array.min()) >= 0
    if value.producer is None or value.type.dtype is DType.UINT8:
        return value.type.dtype is DType.UINT8
    op, operands = value.producer.op, value.producer.inputs
    if isinstance(op, Reshape | Expand | Transpose | Slice | Concat | Gather):
        return all(map(_is_a_place, operands[:1] if isinstance(op, Gather) else operands))
    if isinstance(op, Cast):
        return operands[0].type.dtype in (DType.INT32, DType.INT64, DType.UINT8) and _is_a_place(operands[0])
    return isinstance(op, Iota | Size | ArgMax | ArgMin) or (isinstance(op, TopK) and value.type.dtype.is_integer)
