"""Moving cells about."""

from __future__ import annotations

import numpy as np

from ....exporter.graph import Dim, Node, Sym
from ....exporter.ops import Concat, Gather, Pad, Reshape, Slice, Transpose
from ..emitters import emits
from ..sizes import shape_tensor
from ..writer import OnnxWriter

_TO_THE_END = int(np.iinfo(np.int64).max)


@emits(Reshape)
def reshape(node: Node, writer: OnnxWriter) -> None:
    """One free dim is written as -1, so that the file holds no size of the examples; several are computed."""
    assert isinstance(node.op, Reshape)
    free = sum(isinstance(dim, Sym) for dim in node.op.shape)
    dims = [dim if isinstance(dim, int) else -1 for dim in node.op.shape] if free <= 1 else node.op.shape
    writer.node("Reshape", node, [node.inputs[0], shape_tensor(writer, node, dims, "shape")])


@emits(Transpose)
def transpose(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, Transpose)
    writer.node("Transpose", node, perm=node.op.perm)


@emits(Slice)
def slice_(node: Node, writer: OnnxWriter) -> None:
    """Stops a fixed way before the end of a free dim count from the end; others are computed."""
    op = node.op
    assert isinstance(op, Slice)
    stops: list[Dim] = []
    for axis, stop in zip(op.axes, op.stops, strict=True):
        left = node.inputs[0].type.shape[axis] - stop
        if isinstance(stop, int) or not isinstance(left, int):
            stops.append(stop)
        else:
            stops.append(-left if left else _TO_THE_END)
    writer.node(
        "Slice",
        node,
        [
            node.inputs[0],
            writer.ints(node, "starts", op.starts),
            shape_tensor(writer, node, stops, "stops"),
            writer.ints(node, "axes", op.axes),
            writer.ints(node, "steps", op.steps),
        ],
    )


@emits(Concat)
def concat(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, Concat)
    writer.node("Concat", node, axis=node.op.axis)


@emits(Pad)
def pad(node: Node, writer: OnnxWriter) -> None:
    op = node.op
    assert isinstance(op, Pad)
    value = writer.constant(node, "value", np.asarray(op.value, node.output.type.dtype.numpy))
    writer.node("Pad", node, [node.inputs[0], writer.ints(node, "pads", (*op.before, *op.after)), value])


@emits(Gather)
def gather(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, Gather)
    writer.node("Gather", node, axis=node.op.axis)
