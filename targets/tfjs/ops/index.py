"""Cells by number: Range, GatherV2, ScatterNd, TensorScatterUpdate."""

from __future__ import annotations

from typing import cast

from ....exporter.graph import DType, Node
from ....exporter.graph.dims import product
from ....exporter.ops import Gather, Iota, Scatter, Size, TakeAlong
from ....exporter.ops.base import inverse_perm, normalize_axis
from ..coded import steps_of
from ..emitters import MOVABLE, NUMBERS, emits, of_dtype
from ..sizes import reshape_tensor, shape_tensor
from ..writer import Writer


@emits(Size)
def size(node: Node, writer: Writer) -> None:
    found = shape_tensor(writer, [cast(Size, node.op).size], "size")
    writer.node("Reshape", [found, writer.int32s([], "scalar")], node.output)


@emits(Iota)
def iota(node: Node, writer: Writer) -> None:
    limit = shape_tensor(writer, [cast(Iota, node.op).size], "limit")
    bounds = [writer.int32(0, "start"), limit, writer.int32(1, "step")]
    writer.node("Range", bounds, node.output, Tidx=DType.INT32)


@emits(Gather, accepts=of_dtype(*MOVABLE))
def gather(node: Node, writer: Writer) -> None:
    """Of a table in codes, the step of each row is gathered beside the row."""
    (table, indices), rank = node.inputs, node.inputs[0].type.rank
    place = normalize_axis(cast(Gather, node.op).axis, rank)
    axis, at = writer.int32(place, "axis"), writer.tensor(indices)
    found = steps_of(table, writer.forms) if table.is_constant and place == 0 else None
    if found is None:
        writer.node("GatherV2", [writer.tensor(table), at, axis], node.output, batch_dims=0)
        return
    codes, steps = found
    column = steps.reshape(-1, *(1 for _ in range(rank - 1)))
    pair = [writer.constant(array, f"{table.name}/{role}") for role, array in (("codes", codes), ("steps", column))]
    writer.node("Mul", [writer.node("GatherV2", [of, at, axis], "row", batch_dims=0) for of in pair], node.output)


@emits(TakeAlong, accepts=of_dtype(*MOVABLE))
def take_along(node: Node, writer: Writer) -> None:
    """GatherV2 from all cells in one row: of row r the cells begin at r * K. Another axis is brought there and back.

    GatherV2 with batch_dims would say it in one node; the wasm backend reads beyond its operands there.
    """
    op, operands = cast(TakeAlong, node.op), [writer.tensor(value) for value in node.inputs]
    x, rank = node.inputs[0].type, node.inputs[0].type.rank
    axis = normalize_axis(op.axis, rank)
    perm = (*(i for i in range(rank) if i != axis), axis)
    if axis != rank - 1:
        order = writer.int32s(perm, "perm")
        operands = [writer.node("Transpose", [operand, order], "turned") for operand in operands]
    rows, cells = product(x.shape[i] for i in perm[:-1]), x.shape[axis]
    bounds = [writer.int32(0, "start"), shape_tensor(writer, [rows], "rows"), writer.int32(1, "step")]
    row = writer.node("Range", bounds, "row", Tidx=DType.INT32)
    first = writer.node("Mul", [row, shape_tensor(writer, [cells], "cells")], "first")
    column = [*(node.inputs[1].type.shape[i] for i in perm[:-1]), 1]
    first = writer.node("Reshape", [first, reshape_tensor(writer, column)], "column")
    place = writer.node("AddV2", [operands[1], first], "place")
    flat = writer.node("Reshape", [operands[0], writer.int32s([-1], "flat")], "flat")
    y = writer.node("GatherV2", [flat, place, writer.int32(0, "axis")], "taken", batch_dims=0)
    if axis != rank - 1:
        y = writer.node("Transpose", [y, writer.int32s(inverse_perm(perm), "back")], "back")
    writer.bind(node.output, y)


@emits(Scatter, accepts=of_dtype(*NUMBERS))
def scatter(node: Node, writer: Writer) -> None:
    """Sums: ScatterNd, which adds up what falls on one row. Else TensorScatterUpdate."""
    op, (x, indices, updates) = cast(Scatter, node.op), node.inputs
    rows = writer.node("Reshape", [writer.tensor(indices), writer.int32s([-1, 1], "column")], "indices")
    if op.add:
        shape = shape_tensor(writer, x.type.shape)
        sums = writer.node("ScatterNd", [rows, writer.tensor(updates), shape], "sums")
        writer.node("AddV2", [writer.tensor(x), sums], node.output)
    else:
        writer.node("TensorScatterUpdate", [writer.tensor(x), rows, writer.tensor(updates)], node.output)
