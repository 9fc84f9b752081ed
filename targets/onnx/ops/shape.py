"""Moving cells about."""

from __future__ import annotations

import numpy as np

from ....exporter.graph import Dim, Node, Shape, Sym, Value
from ....exporter.ops import BorderMode, BorderPad, Concat, Expand, Pad, Reshape, Reverse, Slice, Transpose
from ..emitters import emits
from ..opsets import pads_before_a_pool
from ..sizes import shape_tensor
from ..writer import OnnxWriter

_TO_THE_END = int(np.iinfo(np.int64).max)


@emits(Reshape)
def reshape(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, Reshape)
    reshape_node(writer, node, node.inputs[0], node.op.shape)


def reshape_node(writer: OnnxWriter, node: Node, x: Value | str, shape: Shape, output: str | None = None) -> str:
    """One free dim is written as -1, so that the file holds no size of the examples; several are computed."""
    free = sum(isinstance(dim, Sym) for dim in shape)
    dims = [dim if isinstance(dim, int) else -1 for dim in shape] if free <= 1 else shape
    return writer.node("Reshape", node, [x, shape_tensor(writer, node, dims, "shape")], output=output)


@emits(Expand)
def expand(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, Expand)
    writer.node("Expand", node, [node.inputs[0], shape_tensor(writer, node, node.op.shape, "shape")])


@emits(Transpose)
def transpose(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, Transpose)
    writer.node("Transpose", node, perm=node.op.perm)


@emits(Slice)
def slice_(node: Node, writer: OnnxWriter) -> None:
    """Bounds a fixed way before the end of a free dim count from the end; others are computed."""
    op = node.op
    assert isinstance(op, Slice)
    starts, stops = [], []
    for axis, start, stop in zip(op.axes, op.starts, op.stops, strict=True):
        size = node.inputs[0].type.shape[axis]
        starts.append(_from_the_end(size, start, start))
        stops.append(_from_the_end(size, stop, _TO_THE_END))
    writer.node(
        "Slice",
        node,
        [
            node.inputs[0],
            shape_tensor(writer, node, starts, "starts"),
            shape_tensor(writer, node, stops, "stops"),
            writer.ints(node, "axes", op.axes),
            writer.ints(node, "steps", op.steps),
        ],
    )


def _from_the_end(size: Dim, bound: Dim, end: Dim) -> Dim:
    """A free bound as a negative number where it lies a known distance before the end; ``end`` at the end itself."""
    left = size - bound
    if isinstance(bound, int) or not isinstance(left, int):
        return bound
    return -left if left else end


@emits(Reverse)
def reverse(node: Node, writer: OnnxWriter) -> None:
    """Slices with steps of -1."""
    op = node.op
    assert isinstance(op, Reverse)
    count = len(op.axes)
    bounds = {"starts": [-1] * count, "stops": [-_TO_THE_END] * count, "axes": op.axes, "steps": [-1] * count}
    writer.node("Slice", node, [node.inputs[0], *(writer.ints(node, role, ints) for role, ints in bounds.items())])


@emits(Concat)
def concat(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, Concat)
    writer.node("Concat", node, axis=node.op.axis)


@emits(Pad)
def pad(node: Node, writer: OnnxWriter) -> None:
    op = node.op
    assert isinstance(op, Pad)
    pads, value = shape_tensor(writer, node, (*op.before, *op.after), "pads"), writer.cell(node, "value", op.value)
    axes = [writer.ints(node, "axes", range(len(op.before)))] if pads_before_a_pool(node) else []
    writer.node("Pad", node, [node.inputs[0], pads, value, *axes])


_BORDERS = {BorderMode.REFLECT: "reflect", BorderMode.REPLICATE: "edge"}


@emits(BorderPad)
def border_pad(node: Node, writer: OnnxWriter) -> None:
    op = node.op
    assert isinstance(op, BorderPad)
    pads = writer.ints(node, "pads", (*op.before, *op.after))
    writer.node("Pad", node, [node.inputs[0], pads], mode=_BORDERS[op.mode])
