"""Moving cells about: RESHAPE, TRANSPOSE, SLICE, STRIDED_SLICE, CONCATENATION, PAD, GATHER."""

from __future__ import annotations

from typing import cast

import numpy as np

from ....exporter.graph import Dim, DType, Node, TensorType
from ....exporter.ops import Concat, Gather, Pad, Reshape, Slice, Transpose
from ....exporter.ops.base import normalize_axis
from ...emit import Refusal
from ..registry import MOVABLE, NUMBERS, OTHER_PORTS, all_of, at_most_rank, emits, of_dtype
from ..schema import TENSOR_TYPES, schema
from ..sizes import constant_shape, shape_tensor
from ..writer import Writer


@emits(Reshape, accepts=of_dtype(*MOVABLE))
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


def _slice_is_constant(node: Node) -> Refusal | None:
    """Condition: each stop is known, or lies a known distance before the end."""
    op = cast(Slice, node.op)
    for axis, stop in zip(op.axes, op.stops, strict=True):
        if not isinstance(stop, int) and not isinstance(node.inputs[0].type.shape[axis] - stop, int):
            return Refusal(
                f"the slice ends at {stop}, which is known only when the model runs",
                f"slice with a constant end, or one counted from the end; or {OTHER_PORTS}",
                "TP104",
            )
    return None


@emits(Slice, accepts=all_of(of_dtype(*MOVABLE), at_most_rank(5), _slice_is_constant))
def slice_(node: Node, writer: Writer) -> None:
    op, x = cast(Slice, node.op), node.inputs[0]
    starts, steps = [0] * x.type.rank, [1] * x.type.rank
    stops: list[Dim] = list(x.type.shape)
    for axis, start, stop, step in zip(op.axes, op.starts, op.stops, op.steps, strict=True):
        starts[axis], stops[axis], steps[axis] = start, stop, step
    write_slice(writer, node, writer.tensor(x), x.type, (starts, stops, steps), writer.tensor(node.output))


def write_slice(
    writer: Writer,
    node: Node,
    tensor: int,
    type: TensorType,
    bounds: tuple[list[int], list[Dim], list[int]],
    output: int,
) -> None:
    """SLICE where every step is 1 and every size is known or reaches the end, else STRIDED_SLICE.

    bounds   starts, stops and steps along every axis; a symbolic stop lies a known distance before the end
    """
    starts, stops, steps = bounds
    ends = [size - stop for size, stop in zip(type.shape, stops, strict=True)]
    if all(step == 1 for step in steps) and all(
        end == 0 or isinstance(stop, int) for end, stop in zip(ends, stops, strict=True)
    ):
        sizes = [stop - start if isinstance(stop, int) else -1 for start, stop in zip(starts, stops, strict=True)]
        inputs = [tensor, writer.int32s(starts, "begin"), writer.int32s(sizes, "size")]
        writer.operator("SLICE", inputs, output, schema.SliceOptionsT())
        return
    end_mask = sum(1 << axis for axis, end in enumerate(ends) if end == 0)
    last = [stop if isinstance(stop, int) else -cast(int, end) for stop, end in zip(stops, ends, strict=True)]
    inputs = [tensor, writer.int32s(starts, "begin"), writer.int32s(last, "end"), writer.int32s(steps, "strides")]
    writer.operator("STRIDED_SLICE", inputs, output, schema.StridedSliceOptionsT(endMask=end_mask))


@emits(Concat, accepts=of_dtype(*MOVABLE))
def concat(node: Node, writer: Writer) -> None:
    op = cast(Concat, node.op)
    options = schema.ConcatenationOptionsT(axis=normalize_axis(op.axis, node.output.type.rank))
    writer.operator("CONCATENATION", writer.tensors(node.inputs), writer.tensor(node.output), options)


def _only_grows(node: Node) -> Refusal | None:
    """Condition: no negative padding."""
    op = cast(Pad, node.op)
    if min((*op.before, *op.after), default=0) >= 0:
        return None
    return Refusal("padding must not be negative", "crop with a slice instead", "TP102")


@emits(Pad, accepts=all_of(of_dtype(*NUMBERS, DType.INT8), at_most_rank(5), _only_grows))
def pad(node: Node, writer: Writer) -> None:
    op, x = cast(Pad, node.op), node.inputs[0]
    amounts = writer.constant(np.array([op.before, op.after], np.int32).T.copy(), "paddings")
    inputs = [writer.tensor(x), amounts]
    if op.value == 0:
        writer.operator("PAD", inputs, writer.tensor(node.output), schema.PadOptionsT())
        return
    fill = writer.constant(np.array(op.value, x.type.dtype.numpy), "fill")
    writer.operator("PADV2", [*inputs, fill], writer.tensor(node.output), schema.PadV2OptionsT())


@emits(Gather, accepts=of_dtype(*MOVABLE))
def gather(node: Node, writer: Writer) -> None:
    op, (table, indices) = cast(Gather, node.op), node.inputs
    wanted = writer.tensor(indices)
    if indices.type.dtype not in (DType.INT32, DType.INT64):
        options = schema.CastOptionsT(inDataType=TENSOR_TYPES[indices.type.dtype], outDataType=schema.TensorType.INT32)
        wanted = writer.step("CAST", [wanted], node, "indices", indices.type.with_dtype(DType.INT32), options)
    gather_options = schema.GatherOptionsT(axis=normalize_axis(op.axis, table.type.rank))
    writer.operator("GATHER", [writer.tensor(table), wanted], writer.tensor(node.output), gather_options)
