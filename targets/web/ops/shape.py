"""Moving cells about: reshape is free, everything else is one strided copy (kernels/copy.c)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ....exporter.graph import Dim, DType, Node, Shape, Value
from ....exporter.graph.dims import product
from ....exporter.ops import Concat, Gather, Pad, Reshape, Slice, Transpose
from ....exporter.ops.base import normalize_axis
from ...emit import Refusal
from ..dtypes import device_dtype
from ..emitters import emits
from ..writer import Writer


@dataclass(frozen=True)
class Axis:
    """One axis of a strided copy; strides in elements."""

    size: Dim
    read: Dim
    write: Dim


def dense_strides(shape: Shape) -> list[Dim]:
    """Elements from one index to the next along each axis of a row-major tensor."""
    return [product(shape[axis + 1 :]) for axis in range(len(shape))]


def merged(axes: Sequence[Axis]) -> list[Axis]:
    """The same copy over as few axes as possible, outermost first."""
    found: list[Axis] = []
    for axis in axes:
        if axis.size == 1:
            continue
        before = found[-1] if found else None
        if before and before.read == axis.read * axis.size and before.write == axis.write * axis.size:
            found[-1] = Axis(before.size * axis.size, axis.read, axis.write)
        else:
            found.append(axis)
    return found or [Axis(1, 1, 1)]


def strided_copy(
    writer: Writer, target: str, source: Value, axes: Sequence[Axis], *, read_from: Dim = 0, write_to: Dim = 0
) -> None:
    """One copy call; offsets in elements."""
    parts = merged(axes)
    table = [
        len(parts),
        read_from,
        write_to,
        *(entry for axis in parts for entry in (axis.size, axis.read, axis.write)),
    ]
    writer.call(f"copy_{device_dtype(source.type.dtype).bytes}", target, writer.operand(source), table)


@emits(Reshape)
def reshape(node: Node, writer: Writer) -> None:
    writer.alias(node.output, node.inputs[0])


@emits(Transpose)
def transpose(node: Node, writer: Writer) -> None:
    op, x, y = node.op, node.inputs[0], node.output
    assert isinstance(op, Transpose)
    reads, writes = dense_strides(x.type.shape), dense_strides(y.type.shape)
    axes = [Axis(y.type.shape[i], reads[axis], writes[i]) for i, axis in enumerate(op.perm)]
    if merged(axes)[0] == Axis(y.type.elements, 1, 1) or y.type.elements == 1:
        writer.alias(y, x)
    else:
        strided_copy(writer, writer.result(y), x, axes)


@emits(Slice)
def slice_(node: Node, writer: Writer) -> None:
    op, x, y = node.op, node.inputs[0], node.output
    assert isinstance(op, Slice)
    reads, writes = dense_strides(x.type.shape), dense_strides(y.type.shape)
    start: Dim = 0
    for axis, first, step in zip(op.axes, op.starts, op.steps, strict=True):
        start = start + reads[axis] * first
        reads[axis] = reads[axis] * step
    axes = [Axis(size, read, write) for size, read, write in zip(y.type.shape, reads, writes, strict=True)]
    strided_copy(writer, writer.result(y), x, axes, read_from=start)


@emits(Concat)
def concat(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, Concat)
    y = node.output
    along = normalize_axis(node.op.axis, y.type.rank)
    writes = dense_strides(y.type.shape)
    target = writer.result(y)
    done: Dim = 0
    for x in node.inputs:
        reads = dense_strides(x.type.shape)
        axes = [Axis(size, read, write) for size, read, write in zip(x.type.shape, reads, writes, strict=True)]
        strided_copy(writer, target, x, axes, write_to=done)
        done = done + x.type.shape[along] * writes[along]


def _only_grows(node: Node) -> Refusal | None:
    assert isinstance(node.op, Pad)
    if min((*node.op.before, *node.op.after), default=0) >= 0:
        return None
    return Refusal(
        "negative padding takes cells away",
        "slice the tensor instead of padding it by a negative amount",
        "TP102",
    )


_FILLS = {DType.FLOAT32: "fill_f32", DType.INT32: "fill_i32"}


@emits(Pad, accepts=_only_grows)
def pad(node: Node, writer: Writer) -> None:
    op, x, y = node.op, node.inputs[0], node.output
    assert isinstance(op, Pad)
    dtype = device_dtype(y.type.dtype)
    reads, writes = dense_strides(x.type.shape), dense_strides(y.type.shape)
    target = writer.result(y)
    value = op.value if dtype is DType.FLOAT32 else int(op.value)
    writer.call(_FILLS.get(dtype, "fill_u8"), target, y.type.elements, value)
    start: Dim = 0
    for before, write in zip(op.before, writes, strict=True):
        start = start + write * before
    axes = [Axis(size, read, write) for size, read, write in zip(x.type.shape, reads, writes, strict=True)]
    strided_copy(writer, target, x, axes, write_to=start)


def _thirty_two_bit_indices(node: Node) -> Refusal | None:
    dtype = node.inputs[1].type.dtype
    if device_dtype(dtype) is DType.INT32:
        return None
    return Refusal(f"indices are read as int32, not {dtype.value}", "cast the indices to int32 or int64", "TP105")


@emits(Gather, accepts=_thirty_two_bit_indices)
def gather(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, Gather)
    table, indices = node.inputs
    shape, axis = table.type.shape, normalize_axis(node.op.axis, table.type.rank)
    operands = writer.operand(table), writer.operand(indices)
    outer, inner = product(shape[:axis]), product(shape[axis + 1 :])
    bytes_each = device_dtype(table.type.dtype).bytes
    count = indices.type.elements
    writer.call("gather", writer.result(node.output), *operands, outer, shape[axis], inner, count, bytes_each)
