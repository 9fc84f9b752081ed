"""Cells by number: RANGE, GATHER, SCATTER_ND."""

from __future__ import annotations

from typing import cast

import numpy as np

from ....exporter.graph import Dim, DType, Node, TensorType, Value
from ....exporter.ops import Gather, Iota, Scatter, Size, TakeAlong
from ....exporter.ops.base import inverse_perm, normalize_axis
from ..registry import MOVABLE, NUMBERS, all_of, at_most_rank, emits, of_dtype
from ..schema import TENSOR_TYPES, schema
from ..sizes import shape_tensor
from ..writer import Writer
from .shape import write_reshape

_SCALAR = TensorType(DType.INT32, ())


@emits(Size)
def size(node: Node, writer: Writer) -> None:
    tensor = shape_tensor(writer, node, [cast(Size, node.op).size], "size")
    write_reshape(writer, node, tensor, (), writer.tensor(node.output))


@emits(Iota)
def iota(node: Node, writer: Writer) -> None:
    _range(writer, node, 0, cast(Iota, node.op).size, writer.tensor(node.output))


def _range(writer: Writer, node: Node, first: int, size: Dim, output: int) -> int:
    """``first``, first + 1, …: ``size`` numbers."""
    limit = writer.temporary(node, "limit", _SCALAR)
    write_reshape(writer, node, shape_tensor(writer, node, [size + first], "limit"), (), limit)
    start, step = (writer.constant(np.array(number, np.int32), "bound") for number in (first, 1))
    return writer.operator("RANGE", [start, limit, step], output, schema.RangeOptionsT())


def _index_tensor(writer: Writer, node: Node, indices: Value) -> int:
    """The indices as int32."""
    tensor = writer.tensor(indices)
    if indices.type.dtype in (DType.INT32, DType.INT64):
        return tensor
    options = schema.CastOptionsT(inDataType=TENSOR_TYPES[indices.type.dtype], outDataType=schema.TensorType.INT32)
    return writer.step("CAST", [tensor], node, "indices", indices.type.with_dtype(DType.INT32), options)


@emits(Gather, accepts=of_dtype(*MOVABLE))
def gather(node: Node, writer: Writer) -> None:
    op, (table, indices) = cast(Gather, node.op), node.inputs
    options = schema.GatherOptionsT(axis=normalize_axis(op.axis, table.type.rank))
    inputs = [writer.tensor(table), _index_tensor(writer, node, indices)]
    writer.operator("GATHER", inputs, writer.tensor(node.output), options)


@emits(TakeAlong, accepts=all_of(of_dtype(*MOVABLE), at_most_rank(6)))
def take_along(node: Node, writer: Writer) -> None:
    """GATHER with every axis but the last as a batch; another axis is brought there and back."""
    op, (x, indices) = cast(TakeAlong, node.op), node.inputs
    rank = x.type.rank
    axis = normalize_axis(op.axis, rank)
    perm = (*(i for i in range(rank) if i != axis), axis)
    options = schema.GatherOptionsT(axis=rank - 1, batchDims=rank - 1)
    operands = [writer.tensor(x), _index_tensor(writer, node, indices)]
    if axis == rank - 1:
        writer.operator("GATHER", operands, writer.tensor(node.output), options)
        return
    types = [x.type, indices.type.with_dtype(DType.INT32)]
    turned = [_transposed(writer, node, o, t, perm) for o, t in zip(operands, types, strict=True)]
    y_type = node.output.type.with_shape(tuple(node.output.type.shape[i] for i in perm))
    y = writer.step("GATHER", turned, node, "taken", y_type, options)
    back = writer.int32s(inverse_perm(perm), "perm")
    writer.operator("TRANSPOSE", [y, back], writer.tensor(node.output), schema.TransposeOptionsT())


def _transposed(writer: Writer, node: Node, tensor: int, type: TensorType, perm: tuple[int, ...]) -> int:
    turned = type.with_shape(tuple(type.shape[axis] for axis in perm))
    inputs = [tensor, writer.int32s(perm, "perm")]
    return writer.step("TRANSPOSE", inputs, node, "turned", turned, schema.TransposeOptionsT())


@emits(Scatter, accepts=of_dtype(*NUMBERS))
def scatter(node: Node, writer: Writer) -> None:
    """Sums: SCATTER_ND, which adds up what falls on one row. Else each row takes the update that names it last."""
    op, (x, indices, updates) = cast(Scatter, node.op), node.inputs
    rows = indices.type.shape[0]
    index = _index_tensor(writer, node, indices)
    if op.add:
        tuples = writer.temporary(node, "indices", TensorType(DType.INT32, (rows, 1)))
        write_reshape(writer, node, index, (rows, 1), tuples)
        inputs = [tuples, writer.tensor(updates), shape_tensor(writer, node, x.type.shape)]
        sums = writer.step("SCATTER_ND", inputs, node, "sums", x.type, schema.ScatterNdOptionsT())
        writer.operator("ADD", [writer.tensor(x), sums], writer.tensor(node.output), schema.AddOptionsT())
        return
    last, written = _last_update(writer, node, index, rows, x.type)
    options = schema.GatherOptionsT(axis=0)
    chosen = writer.step("GATHER", [writer.tensor(updates), last], node, "chosen", x.type, options)
    inputs = [written, chosen, writer.tensor(x)]
    writer.operator("SELECT_V2", inputs, writer.tensor(node.output), schema.SelectV2OptionsT())


def _last_update(writer: Writer, node: Node, index: int, rows: Dim, x: TensorType) -> tuple[int, int]:
    """For each row of x the last update that names it (0 where there is none), and whether there is one [N, 1, …]."""
    numbers, per_row = TensorType(DType.INT32, (rows,)), TensorType(DType.INT32, x.shape[:1])
    one, none = (writer.constant(np.array(number, np.int32), "number") for number in (1, 0))
    count = _range(writer, node, 1, rows, writer.temporary(node, "numbers", numbers))
    segments = writer.temporary(node, "rows", _SCALAR)
    write_reshape(writer, node, shape_tensor(writer, node, x.shape[:1]), (), segments)
    inputs = [count, index, segments]
    found = writer.step("UNSORTED_SEGMENT_MAX", inputs, node, "last", per_row, schema.UnsortedSegmentMaxOptionsT())
    options = schema.MaximumMinimumOptionsT()
    found = writer.step("MAXIMUM", [found, none], node, "last", per_row, options)
    shape = (*x.shape[:1], *(1 for _ in x.shape[1:]))
    flag = writer.step("GREATER", [found, none], node, "flag", per_row.with_dtype(DType.BOOL), schema.GreaterOptionsT())
    written = writer.temporary(node, "written", TensorType(DType.BOOL, shape))
    write_reshape(writer, node, flag, shape, written)
    last = writer.step("MAXIMUM", [found, one], node, "last", per_row, options)
    return writer.step("SUB", [last, one], node, "last", per_row, schema.SubOptionsT()), written
