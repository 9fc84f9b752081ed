"""Moving cells about: reshape is free, everything else is one strided copy (kernels/copy.c)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ....exporter.graph import Dim, DType, Node, Value
from ....exporter.graph.dims import never_negative
from ....exporter.ops import BorderMode, BorderPad, Concat, Expand, Pad, Reshape, Reverse, Slice, Transpose
from ....exporter.ops.base import normalize_axis
from ...emit import Refusal
from ..dtypes import device_dtype
from ..emitters import emits
from ..views import dense_strides
from ..writer import Writer


@dataclass(frozen=True)
class Axis:
    """One axis of a strided copy; strides in elements."""

    size: Dim
    read: Dim
    write: Dim


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
    _copy(writer, target, writer.operand(source), device_dtype(source.type.dtype).bytes, axes, read_from, write_to)


def _copy(
    writer: Writer, target: str, source: str, bytes_each: int, axes: Sequence[Axis], read_from: Dim, write_to: Dim
) -> None:
    parts = merged(axes)
    table = [
        len(parts),
        read_from,
        write_to,
        *(entry for axis in parts for entry in (axis.size, axis.read, axis.write)),
    ]
    writer.call(f"copy_{bytes_each}", target, source, table)


@emits(Reshape)
def reshape(node: Node, writer: Writer) -> None:
    writer.alias(node.output, node.inputs[0])


@emits(Expand)
def expand(node: Node, writer: Writer) -> None:
    x, y = node.inputs[0], node.output
    if x.type.elements == y.type.elements:
        writer.alias(y, x)
        return
    new = y.type.rank - x.type.rank
    own = [0 if size == 1 else read for size, read in zip(x.type.shape, dense_strides(x.type.shape), strict=True)]
    strides = zip(y.type.shape, [0] * new + own, dense_strides(y.type.shape), strict=True)
    strided_copy(writer, writer.result(y), x, [Axis(size, read, write) for size, read, write in strides])


@emits(Reverse)
def reverse(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, Reverse)
    x, y = node.inputs[0], node.output
    reads, writes = dense_strides(x.type.shape), dense_strides(y.type.shape)
    start: Dim = 0
    for axis in node.op.axes:
        start = start + (x.type.shape[axis] - 1) * reads[axis]
        reads[axis] = -reads[axis]
    axes = [Axis(size, read, write) for size, read, write in zip(y.type.shape, reads, writes, strict=True)]
    strided_copy(writer, writer.result(y), x, axes, read_from=start)


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
    if all(never_negative(side) for side in (*node.op.before, *node.op.after)):
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


@emits(BorderPad)
def border_pad(node: Node, writer: Writer) -> None:
    """x into the middle of the result; then, axis by axis, what stands beyond the border is copied from inside it."""
    op, x, y = node.op, node.inputs[0], node.output
    assert isinstance(op, BorderPad)
    writes, target = dense_strides(y.type.shape), writer.result(y)
    bytes_each = device_dtype(y.type.dtype).bytes
    inner = [before * write for before, write in zip(op.before, writes, strict=True)]
    axes = zip(x.type.shape, dense_strides(x.type.shape), writes, strict=True)
    strided_copy(writer, target, x, [Axis(*axis) for axis in axes], write_to=sum(inner))
    mirrored = op.mode is BorderMode.REFLECT
    for axis, (before, size, after) in enumerate(zip(op.before, x.type.shape, op.after, strict=True)):
        write = writes[axis]
        # Axes in front are complete by now, those behind reach over their inner part only.
        others = [Axis(y.type.shape[i] if i < axis else x.type.shape[i], w, w) for i, w in enumerate(writes)]
        start = sum(inner[axis + 1 :])
        end = before + size
        for count, first, source in ((before, 0, 2 * before if mirrored else before), (after, end, end - 1 - mirrored)):
            if count:
                others[axis] = Axis(count, -write if mirrored else 0, write)
                read_from, write_to = start + source * write, start + first * write
                _copy(writer, target, target, bytes_each, others, read_from, write_to)
