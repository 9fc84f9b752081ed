"""Moving cells about: Reshape, BroadcastTo, Transpose, Slice, StridedSlice, ReverseV2, ConcatV2, PadV2, MirrorPad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from ....exporter.graph import Dim, DType, Node, TensorType
from ....exporter.graph.dims import never_negative
from ....exporter.ops import BorderMode, BorderPad, Concat, Expand, Pad, Reshape, Reverse, Slice, Transpose
from ....exporter.ops.base import normalize_axis
from ...emit import Refusal
from ..dtypes import CARRIERS
from ..emitters import MOVABLE, all_of, at_most_rank, emits, of_dtype
from ..sizes import reshape_tensor, shape_tensor
from ..writer import Writer


@emits(Reshape, accepts=of_dtype(*MOVABLE))
def reshape(node: Node, writer: Writer) -> None:
    shape = reshape_tensor(writer, cast(Reshape, node.op).shape)
    writer.node("Reshape", [writer.tensor(node.inputs[0]), shape], node.output)


@emits(Transpose, accepts=all_of(of_dtype(*MOVABLE), at_most_rank(8)))
def transpose(node: Node, writer: Writer) -> None:
    perm = writer.int32s(cast(Transpose, node.op).perm, "perm")
    writer.node("Transpose", [writer.tensor(node.inputs[0]), perm], node.output)


@emits(Expand, accepts=all_of(of_dtype(*MOVABLE), at_most_rank(8)))
def expand(node: Node, writer: Writer) -> None:
    shape = shape_tensor(writer, cast(Expand, node.op).shape)
    writer.node("BroadcastTo", [writer.tensor(node.inputs[0]), shape], node.output)


@emits(Reverse, accepts=all_of(of_dtype(*MOVABLE), at_most_rank(8)))
def reverse(node: Node, writer: Writer) -> None:
    """Bools go as numbers: the wasm backend's kernel reads four bytes of each."""
    axes = [normalize_axis(axis, node.output.type.rank) for axis in cast(Reverse, node.op).axes]
    x, order = writer.tensor(node.inputs[0]), writer.int32s(axes, "axes")
    if node.output.type.dtype is not DType.BOOL:
        writer.node("ReverseV2", [x, order], node.output)
        return
    numbers = writer.node("ReverseV2", [writer.node("Cast", [x], "numbers", DstT=DType.INT32), order], "reversed")
    writer.node("NotEqual", [numbers, writer.int32(0, "zero")], node.output)


@emits(Slice, accepts=all_of(of_dtype(*MOVABLE), at_most_rank(8)))
def slice_(node: Node, writer: Writer) -> None:
    op, x = cast(Slice, node.op), node.inputs[0]
    starts: list[Dim] = [0] * x.type.rank
    stops, steps = list(x.type.shape), [1] * x.type.rank
    for axis, start, stop, step in zip(op.axes, op.starts, op.stops, op.steps, strict=True):
        starts[axis], stops[axis], steps[axis] = start, stop, step
    writer.bind(node.output, write_slice(writer, writer.tensor(x), x.type, starts, stops, steps))


def write_slice(
    writer: Writer, tensor: str, type: TensorType, starts: Sequence[Dim], stops: Sequence[Dim], steps: Sequence[int]
) -> str:
    """Slice, and then every step-th cell: StridedSlice of floats, GatherV2 of all else, which the wasm backend's
    StridedSlice takes for floats."""
    ends = [size - stop for size, stop in zip(type.shape, stops, strict=True)]
    if any(starts) or any(end != 0 for end in ends):
        sizes = [stop - start for start, stop in zip(starts, stops, strict=True)]
        # Up to the end is -1: it saves computing the size.
        kept = [-1 if end == 0 and not isinstance(size, int) else size for size, end in zip(sizes, ends, strict=True)]
        bounds = [shape_tensor(writer, starts, "begin"), shape_tensor(writer, kept, "size")]
        tensor, type = writer.node("Slice", [tensor, *bounds], "slice"), type.with_shape(tuple(sizes))
    if all(step == 1 for step in steps):
        return tensor
    if type.dtype is DType.FLOAT32:
        zeros = writer.int32s([0] * type.rank, "zeros")
        return writer.node(
            "StridedSlice", [tensor, zeros, zeros, writer.int32s(steps, "strides")], "steps",
            begin_mask=0, end_mask=2**type.rank - 1, ellipsis_mask=0, new_axis_mask=0, shrink_axis_mask=0,
        )  # fmt: skip
    for axis, step in enumerate(steps):
        if step > 1:
            bounds = [writer.int32(0, "start"), shape_tensor(writer, [type.shape[axis]], "stop")]
            places = writer.node("Range", [*bounds, writer.int32(step, "step")], "places", Tidx=DType.INT32)
            tensor = writer.node("GatherV2", [tensor, places, writer.int32(axis, "axis")], "steps", batch_dims=0)
    return tensor


@emits(Concat, accepts=of_dtype(*MOVABLE))
def concat(node: Node, writer: Writer) -> None:
    tensors = [writer.tensor(value) for value in node.inputs]
    axis = writer.int32(normalize_axis(cast(Concat, node.op).axis, node.output.type.rank), "axis")
    writer.node("ConcatV2", [*tensors, axis], node.output, N=len(tensors))


def _only_grows(node: Node) -> Refusal | None:
    """Condition: no negative padding."""
    op = cast(Pad, node.op)
    if all(never_negative(side) for side in (*op.before, *op.after)):
        return None
    return Refusal("padding must not be negative", "crop with a slice instead", "TP102")


@emits(Pad, accepts=all_of(of_dtype(*MOVABLE), at_most_rank(6), _only_grows))
def pad(node: Node, writer: Writer) -> None:
    op, x = cast(Pad, node.op), node.inputs[0]
    sides = [side for pair in zip(op.before, op.after, strict=True) for side in pair]
    if all(isinstance(side, int) for side in sides):
        paddings = writer.constant(np.array(sides, np.int32).reshape(-1, 2), f"{writer.at}/paddings")
    else:
        amounts = shape_tensor(writer, sides, "sides")
        paddings = writer.node("Reshape", [amounts, writer.int32s([x.type.rank, 2], "pairs")], "paddings")
    fill = writer.constant(np.array(op.value, CARRIERS[x.type.dtype].numpy), f"{writer.at}/fill")
    writer.node("PadV2", [writer.tensor(x), paddings, fill], node.output)


@emits(BorderPad, accepts=all_of(of_dtype(*MOVABLE), at_most_rank(8)))
def border_pad(node: Node, writer: Writer) -> None:
    """MirrorPad; the repeated border cell has no operator, so it is cut off, tiled and put before and behind."""
    op, x = cast(BorderPad, node.op), node.inputs[0]
    tensor, type = writer.tensor(x), x.type
    if op.mode is BorderMode.REFLECT:
        amounts = np.array([op.before, op.after], np.int32).T
        writer.node(
            "MirrorPad", [tensor, writer.constant(amounts, f"{writer.at}/paddings")], node.output, mode="REFLECT"
        )
        return
    for axis in range(type.rank):
        parts = [tensor]
        if op.before[axis]:
            parts.insert(0, _tiled_cell(writer, tensor, type, axis, 0, op.before[axis]))
        if op.after[axis]:
            parts.append(_tiled_cell(writer, tensor, type, axis, type.shape[axis] - 1, op.after[axis]))
        if len(parts) > 1:
            size = type.shape[axis] + op.before[axis] + op.after[axis]
            type = type.with_shape((*type.shape[:axis], size, *type.shape[axis + 1 :]))
            tensor = writer.node("ConcatV2", [*parts, writer.int32(axis, "axis")], "padded", N=len(parts))
    writer.bind(node.output, tensor)


def _tiled_cell(writer: Writer, tensor: str, type: TensorType, axis: int, at: Dim, count: int) -> str:
    """The cells at one place of an axis, ``count`` times."""
    starts: list[Dim] = [0] * type.rank
    starts[axis] = at
    stops = [at + 1 if i == axis else size for i, size in enumerate(type.shape)]
    cell = write_slice(writer, tensor, type, starts, stops, [1] * type.rank)
    multiples = writer.int32s([count if i == axis else 1 for i in range(type.rank)], "multiples")
    return cell if count == 1 else writer.node("Tile", [cell, multiples], "borders")
