"""Cells by number (kernels/gather.c)."""

from __future__ import annotations

from ....exporter.graph import DType, Node
from ....exporter.graph.dims import product
from ....exporter.ops import Gather, Iota, Scatter, Size, TakeAlong
from ....exporter.ops.base import normalize_axis
from ...emit import Refusal
from ..dtypes import device_dtype
from ..emitters import emits
from ..writer import Writer


@emits(Size)
def size(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, Size)
    writer.call("fill_i32", writer.result(node.output), 1, node.op.size)


@emits(Iota)
def iota(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, Iota)
    writer.call("iota", writer.result(node.output), node.op.size)


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


@emits(TakeAlong, accepts=_thirty_two_bit_indices)
def take_along(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, TakeAlong)
    x, indices = node.inputs
    shape, axis = x.type.shape, normalize_axis(node.op.axis, x.type.rank)
    operands = writer.operand(x), writer.operand(indices)
    outer, inner, count = product(shape[:axis]), product(shape[axis + 1 :]), indices.type.shape[axis]
    kernel = f"take_along_{device_dtype(x.type.dtype).bytes}"
    writer.call(kernel, writer.result(node.output), *operands, outer, shape[axis], inner, count)


def _scatters(node: Node) -> Refusal | None:
    assert isinstance(node.op, Scatter)
    dtype = device_dtype(node.inputs[0].type.dtype)
    if node.op.add and dtype not in (DType.FLOAT32, DType.INT32):
        return Refusal(f"{dtype.value} cells cannot be summed up", "cast the operand to int32 in the model", "TP105")
    return _thirty_two_bit_indices(node)


@emits(Scatter, accepts=_scatters)
def scatter(node: Node, writer: Writer) -> None:
    """The rows are written into x's own memory when nobody reads it afterwards, else into a copy.

    Memory that holds the rows or the indices, too, is still read while rows are written.
    """
    assert isinstance(node.op, Scatter)
    x, indices, updates = node.inputs
    dtype = device_dtype(x.type.dtype)
    cells, numbers, rows = writer.operand(x), writer.operand(indices), writer.operand(updates)
    target = writer.result(node.output) if cells in (numbers, rows) else writer.result_over(node.output, x)
    if target != cells:
        writer.call(f"copy_{dtype.bytes}", target, cells, [1, 0, 0, x.type.elements, 1, 1])
    inner = product(x.type.shape[1:])
    kernel, run = ("scatter", inner * dtype.bytes)
    if node.op.add:
        kernel, run = ("scatter_add_f32" if dtype is DType.FLOAT32 else "scatter_add_i32", inner)
    writer.call(kernel, target, rows, numbers, x.type.shape[0], run, indices.type.shape[0])
