"""Moving cells about."""

from __future__ import annotations

import numpy as np

from ....exporter.graph import Node, Sym
from ....exporter.ops import Concat, Gather, Pad, Reshape, Slice, Transpose
from ...emit import Refusal
from ..emitters import emits
from ..writer import OnnxWriter

_TO_THE_END = np.iinfo(np.int64).max


def _one_free_dim(node: Node) -> Refusal | None:
    assert isinstance(node.op, Reshape)
    free = [dim for dim in node.op.shape if isinstance(dim, Sym)]
    if len(free) <= 1 or _copied(node):
        return None
    return Refusal(
        f"the new shape has several free dims ({', '.join(map(str, free))})",
        "leave all but one of these dims out of dynamic= when capturing",
        code="TP104",
    )


def _copied(node: Node) -> list[int] | None:
    """The shape with 0 for a dim that stays where it is, and one -1; None when that does not say it all."""
    assert isinstance(node.op, Reshape)
    given = node.inputs[0].type.shape
    shape = []
    for axis, dim in enumerate(node.op.shape):
        if isinstance(dim, int):
            shape.append(dim)
        else:
            shape.append(0 if axis < len(given) and given[axis] == dim else -1)
    return shape if shape.count(-1) <= 1 else None


@emits(Reshape, accepts=_one_free_dim)
def reshape(node: Node, writer: OnnxWriter) -> None:
    """A free dim is written as -1, so that the file holds no size of the examples."""
    assert isinstance(node.op, Reshape)
    free = sum(isinstance(dim, Sym) for dim in node.op.shape)
    shape = [dim if isinstance(dim, int) else -1 for dim in node.op.shape] if free <= 1 else _copied(node)
    assert shape is not None, "checked by _one_free_dim"
    writer.node("Reshape", node, [node.inputs[0], writer.ints(node, "shape", shape)])


@emits(Transpose)
def transpose(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, Transpose)
    writer.node("Transpose", node, perm=node.op.perm)


def _known_stops(node: Node) -> Refusal | None:
    assert isinstance(node.op, Slice)
    x = node.inputs[0].type
    for axis, stop in zip(node.op.axes, node.op.stops, strict=True):
        if isinstance(stop, Sym) and not isinstance(x.shape[axis] - stop, int):
            return Refusal(f"the slice ends at {stop}", "slice by whole numbers", code="TP104")
    return None


@emits(Slice, accepts=_known_stops)
def slice_(node: Node, writer: OnnxWriter) -> None:
    """Stops along free dims count from the end."""
    op = node.op
    assert isinstance(op, Slice)
    stops = []
    for axis, stop in zip(op.axes, op.stops, strict=True):
        if isinstance(stop, int):
            stops.append(stop)
        else:
            left = node.inputs[0].type.shape[axis] - stop
            assert isinstance(left, int), "checked by _known_stops"
            stops.append(-left if left else _TO_THE_END)
    writer.node(
        "Slice",
        node,
        [
            node.inputs[0],
            writer.ints(node, "starts", op.starts),
            writer.ints(node, "stops", stops),
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
