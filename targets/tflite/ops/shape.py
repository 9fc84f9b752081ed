"""Moving cells about: RESHAPE, BROADCAST_TO, TRANSPOSE, SLICE, STRIDED_SLICE, REVERSE_V2, CONCATENATION, PAD."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from ....exporter.graph import Dim, DType, Node, TensorType
from ....exporter.graph.dims import never_negative
from ....exporter.ops import BorderMode, BorderPad, Concat, Expand, Pad, Reshape, Reverse, Slice, Transpose
from ....exporter.ops.base import normalize_axis
from ...emit import Refusal
from ..registry import MOVABLE, NUMBERS, all_of, at_most_rank, emits, of_dtype
from ..schema import schema
from ..sizes import constant_shape, shape_tensor
from ..writer import Writer, tensor_quantization


@emits(Reshape, accepts=all_of(of_dtype(*MOVABLE), at_most_rank(8)))
def reshape(node: Node, writer: Writer) -> None:
    op = cast(Reshape, node.op)
    write_reshape(writer, node, writer.tensor(node.inputs[0]), op.shape, writer.tensor(node.output))


def write_reshape(writer: Writer, node: Node, tensor: int, shape: tuple[Dim, ...], output: int) -> None:
    """RESHAPE with a constant shape where at most one dim is free; with a computed one otherwise."""
    known = constant_shape(shape)
    if known is None:
        # One of the free sizes may stay -1: the one that takes the most arithmetic. The others are computed.
        open_axis = max(range(len(shape)), key=lambda axis: (not isinstance(shape[axis], int), len(str(shape[axis]))))
        dims = tuple(-1 if axis == open_axis else dim for axis, dim in enumerate(shape))
        inputs = [tensor, shape_tensor(writer, node, dims)]
        writer.operator("RESHAPE", inputs, output, schema.ReshapeOptionsT(newShape=None))
        return
    options = schema.ReshapeOptionsT(newShape=known)
    # A scalar's shape would be an empty constant, which runtimes take for one that is computed later.
    inputs = [tensor, writer.int32s(known.tolist(), "shape")] if known.size else [tensor]
    writer.operator("RESHAPE", inputs, output, options)


@emits(Transpose, accepts=all_of(of_dtype(*MOVABLE), at_most_rank(6)))
def transpose(node: Node, writer: Writer) -> None:
    op, x = cast(Transpose, node.op), node.inputs[0]
    moved = [axis for axis in op.perm if x.type.shape[axis] != 1]
    if moved == sorted(moved) and constant_shape(node.output.type.shape) is not None:
        # Only axes of size 1 change places: no cell moves.
        write_reshape(writer, node, writer.tensor(x), node.output.type.shape, writer.tensor(node.output))
        return
    inputs = [writer.tensor(x), writer.int32s(op.perm, "perm")]
    writer.operator("TRANSPOSE", inputs, writer.tensor(node.output), schema.TransposeOptionsT())


@emits(Expand, accepts=all_of(of_dtype(*MOVABLE), at_most_rank(8)))
def expand(node: Node, writer: Writer) -> None:
    op = cast(Expand, node.op)
    inputs = [writer.tensor(node.inputs[0]), shape_tensor(writer, node, op.shape)]
    writer.operator("BROADCAST_TO", inputs, writer.tensor(node.output), schema.BroadcastToOptionsT())


@emits(Reverse, accepts=all_of(of_dtype(*MOVABLE), at_most_rank(8)))
def reverse(node: Node, writer: Writer) -> None:
    """One REVERSE_V2 an axis: kernels of old runtimes take no more."""
    op, x = cast(Reverse, node.op), node.inputs[0]
    tensor = writer.tensor(x)
    for position, axis in enumerate(op.axes):
        last = position == len(op.axes) - 1
        output = writer.tensor(node.output) if last else writer.temporary(node, "reversed", x.type)
        inputs = [tensor, writer.int32s([axis % x.type.rank], "axis")]
        tensor = writer.operator("REVERSE_V2", inputs, output, schema.ReverseV2OptionsT())


@emits(Slice, accepts=all_of(of_dtype(*MOVABLE), at_most_rank(5)))
def slice_(node: Node, writer: Writer) -> None:
    op, x = cast(Slice, node.op), node.inputs[0]
    starts: list[Dim] = [0] * x.type.rank
    stops, steps = list(x.type.shape), [1] * x.type.rank
    for axis, start, stop, step in zip(op.axes, op.starts, op.stops, op.steps, strict=True):
        starts[axis], stops[axis], steps[axis] = start, stop, step
    write_slice(writer, node, writer.tensor(x), x.type, (starts, stops, steps), writer.tensor(node.output))


def write_slice(
    writer: Writer,
    node: Node,
    tensor: int,
    type: TensorType,
    bounds: tuple[Sequence[Dim], Sequence[Dim], Sequence[int]],
    output: int,
) -> None:
    """SLICE where every step is 1 and every size is known, else STRIDED_SLICE.

    STRIDED_SLICE reaches the end of a free axis by its mask; XNNPACK takes that, but not SLICE's size of -1. A slice
    without cells is not for it: it takes a size of 0 for what is left of the axis.

    bounds   starts, stops and steps along every axis; those that are no known distance from either end are computed
    """
    starts, stops, steps = bounds
    ends = [size - stop for size, stop in zip(type.shape, stops, strict=True)]
    begins = [start for start in starts if isinstance(start, int)]
    counts = [
        stop - start if isinstance(stop, int) else -1
        for start, stop, end in zip(starts, stops, ends, strict=True)
        if isinstance(start, int) and (isinstance(stop, int) or end == 0)
    ]
    settled = len(counts) == type.rank and (-1 not in counts or 0 in counts)
    if settled and all(step == 1 for step in steps):
        inputs = [tensor, writer.int32s(begins, "begin"), writer.int32s(counts, "size")]
        writer.operator("SLICE", inputs, output, schema.SliceOptionsT())
        return
    end_mask = sum(1 << axis for axis, end in enumerate(ends) if end == 0)
    # What the mask covers is never read: 0 saves computing it.
    last = [0 if end == 0 else _from_the_end(size, s) for size, s, end in zip(type.shape, stops, ends, strict=True)]
    first = [_from_the_end(size, start) for size, start in zip(type.shape, starts, strict=True)]
    begin, end = shape_tensor(writer, node, first, "begin"), shape_tensor(writer, node, last, "end")
    options = schema.StridedSliceOptionsT(endMask=end_mask)
    writer.operator("STRIDED_SLICE", [tensor, begin, end, writer.int32s(steps, "strides")], output, options)


def _from_the_end(size: Dim, bound: Dim) -> Dim:
    """A free bound as a negative number where it lies a known distance before the end."""
    left = size - bound
    return -left if not isinstance(bound, int) and isinstance(left, int) and left > 0 else bound


@emits(Concat, accepts=of_dtype(*MOVABLE))
def concat(node: Node, writer: Writer) -> None:
    op = cast(Concat, node.op)
    options = schema.ConcatenationOptionsT(axis=normalize_axis(op.axis, node.output.type.rank))
    writer.operator("CONCATENATION", writer.tensors(node.inputs), writer.tensor(node.output), options)


def _only_grows(node: Node) -> Refusal | None:
    """Condition: no negative padding."""
    op = cast(Pad, node.op)
    if all(never_negative(side) for side in (*op.before, *op.after)):
        return None
    return Refusal("padding must not be negative", "crop with a slice instead", "TP102")


@emits(Pad, accepts=all_of(of_dtype(*NUMBERS, DType.INT8), at_most_rank(5), _only_grows))
def pad(node: Node, writer: Writer) -> None:
    op, x = cast(Pad, node.op), node.inputs[0]
    sides = tuple(side for pair in zip(op.before, op.after, strict=True) for side in pair)
    if all(isinstance(side, int) for side in sides):
        amounts = writer.constant(np.array(sides, np.int32).reshape(-1, 2), "paddings")
    else:
        listed = shape_tensor(writer, node, sides, "sides")
        amounts = writer.temporary(node, "paddings", TensorType(DType.INT32, (x.type.rank, 2)))
        write_reshape(writer, node, listed, (x.type.rank, 2), amounts)
    inputs = [writer.tensor(x), amounts]
    codes = x.type.quantization
    if op.value == (codes.zero_point if codes else 0):
        writer.operator("PAD", inputs, writer.tensor(node.output), schema.PadOptionsT())
        return
    fill = writer.constant(np.array(op.value, x.type.dtype.numpy), "fill", tensor_quantization(codes))
    writer.operator("PADV2", [*inputs, fill], writer.tensor(node.output), schema.PadV2OptionsT())


@emits(BorderPad, accepts=all_of(of_dtype(*NUMBERS, DType.INT8, DType.UINT8), at_most_rank(5)))
def border_pad(node: Node, writer: Writer) -> None:
    """MIRROR_PAD; the repeated border cell has no operator, so it is cut off, tiled and put before and behind."""
    op, x = cast(BorderPad, node.op), node.inputs[0]
    if op.mode is BorderMode.REFLECT:
        amounts = writer.constant(np.array([op.before, op.after], np.int32).T.copy(), "paddings")
        options = schema.MirrorPadOptionsT(mode=schema.MirrorPadMode.REFLECT)
        writer.operator("MIRROR_PAD", [writer.tensor(x), amounts], writer.tensor(node.output), options)
        return
    tensor, type = writer.tensor(x), x.type
    padded = [axis for axis in range(type.rank) if op.before[axis] or op.after[axis]]
    for axis in padded:
        parts = [tensor]
        if op.before[axis]:
            parts.insert(0, _tiled_cell(writer, node, tensor, type, axis, 0, op.before[axis]))
        if op.after[axis]:
            parts.append(_tiled_cell(writer, node, tensor, type, axis, type.shape[axis] - 1, op.after[axis]))
        size = type.shape[axis] + op.before[axis] + op.after[axis]
        type = type.with_shape((*type.shape[:axis], size, *type.shape[axis + 1 :]))
        output = writer.tensor(node.output) if axis == padded[-1] else writer.temporary(node, "padded", type)
        tensor = writer.operator("CONCATENATION", parts, output, schema.ConcatenationOptionsT(axis=axis))


def _tiled_cell(writer: Writer, node: Node, tensor: int, type: TensorType, axis: int, at: Dim, count: int) -> int:
    """The cells at one place of an axis, ``count`` times."""
    starts: list[Dim] = [0] * type.rank
    starts[axis] = at
    stops = [at + 1 if i == axis else size for i, size in enumerate(type.shape)]
    cell_type = type.with_shape(tuple(1 if i == axis else size for i, size in enumerate(type.shape)))
    cell = writer.temporary(node, "border", cell_type)
    write_slice(writer, node, tensor, type, (starts, stops, [1] * type.rank), cell)
    if count == 1:
        return cell
    many = type.with_shape(tuple(count if i == axis else size for i, size in enumerate(type.shape)))
    multiples = writer.int32s([count if i == axis else 1 for i in range(type.rank)], "multiples")
    return writer.step("TILE", [cell, multiples], node, "borders", many, schema.TileOptionsT())
