"""Arithmetic on int8 codes (kernels/quantized.h): exact, so that every code equals the other ports'."""

from __future__ import annotations

import numpy as np

from ....exporter.graph import Array, Dim, Node, Quantization
from ....exporter.graph.dims import product
from ....exporter.ops import (
    Activation,
    Dequantize,
    Layout,
    Lookup,
    Quantize,
    QuantizedAdd,
    QuantizedConv,
    QuantizedLinear,
    QuantizedMatMul,
    QuantizedMul,
    QuantizedSoftmax,
    QuantizedSub,
    Recode,
)
from ....exporter.ops.base import normalize_axis
from ....exporter.ops.quantized import code_range, multiplier, sum_multiplier, whole_weights
from ...emit import Refusal
from ..emitters import emits
from ..pack import PANEL, round_up
from ..pack_codes import pack_codes, pack_columns, pack_table
from ..plan import Argument
from ..writer import Writer
from .broadcast import broadcast_table, runs, strides
from .conv import spatial_axes, winograd_geometry, winograd_pays
from .elementwise import fills

ROW_CELLS = 12288
"""int16 cells of rows that stay in the cache while all panels of weights pass over them."""

BAND_CELLS = 49152
"""int16 cells of the rows of an image that a band of a convolution looks at."""

TILE_ROWS = 4
"""Rows that the kernels compute at once (Q_ROWS in kernels/q_tile.h)."""

LARGEST_SUM = 2**31 - 1


def bounds(to: Quantization, activation: Activation = Activation.NONE) -> tuple[float, float]:
    """The codes that a kernel stores, less the zero point."""
    low, high = code_range(activation, to)
    return float(low - to.zero_point), float(high - to.zero_point)


def _inverse(to: Quantization) -> float:
    return float(np.float32(1) / np.float32(to.scale))


def _cells(writer: Writer, cells: Dim) -> str:
    """Scratch for int16 cells; kernels write up to 24 beyond them."""
    return writer.scratch((cells + 25) // 2)


def _row_cells(rows: Dim, depth: Dim) -> Dim:
    """Cells for the widened rows of a matrix product, of which kernels take whole tiles and pairs of cells."""
    row = (depth + 1) // 2 * 2
    return _at_most((rows + TILE_ROWS - 1) // TILE_ROWS * TILE_ROWS * row, ROW_CELLS, TILE_ROWS * row)


def _at_most(wanted: Dim, budget: int, least: Dim) -> Dim:
    """Cells of scratch: what is wanted, or ``budget`` if that is less; never less than ``least``."""
    if isinstance(wanted, int) and isinstance(least, int):
        return min(wanted, max(budget, least))
    return least + budget


# -- to and from codes -------------------------------------------------------------------------------------------------


@emits(Quantize)
def quantize(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, Quantize)
    x, to = node.inputs[0], node.op.to
    operand = writer.operand(x)
    call = writer.result(node.output), operand, x.type.elements, _inverse(to), to.zero_point
    writer.call("quantize", *call, *bounds(to))


@emits(Dequantize)
def dequantize(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, Dequantize)
    x, of = node.inputs[0], node.op.of
    operand = writer.operand(x)
    writer.call("dequantize", writer.result(node.output), operand, x.type.elements, of.scale, of.zero_point)


@emits(Recode)
def recode(node: Node, writer: Writer) -> None:
    """Both ways the code's highest bit turns."""
    x = node.inputs[0]
    operand, turned = writer.operand(x), writer.weights(np.arange(256, dtype=np.uint8) ^ 0x80)
    writer.call("lookup", writer.result_over(node.output, x), operand, x.type.elements, turned)


def _known_table(node: Node) -> Refusal | None:
    return None if node.inputs[1].is_constant else _computed("table")


@emits(Lookup, accepts=_known_table)
def lookup(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, Lookup)
    x, table = node.inputs
    operand = writer.operand(x)
    kernel = "lookup" if node.op.to else "lookup_f32"
    entries = writer.weights(pack_table(table.array()))
    writer.call(kernel, writer.result_over(node.output, x), operand, x.type.elements, entries)


@emits(QuantizedSoftmax)
def softmax(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, QuantizedSoftmax)
    op, (x, table) = node.op, node.inputs
    shape, axis = x.type.shape, normalize_axis(node.op.axis, x.type.rank)
    sizes = product(shape[:axis]), shape[axis], product(shape[axis + 1 :])
    operands = writer.operand(x), *sizes, writer.operand(table), writer.scratch(shape[axis] + 8)
    target = writer.result_over(node.output, x)
    if op.to is None:
        writer.call("q_softmax_f32", target, *operands)
    else:
        writer.call("q_softmax", target, *operands, _inverse(op.to), op.to.zero_point, *bounds(op.to))


# -- sums and products cell by cell ------------------------------------------------------------------------------------


@emits(QuantizedAdd, QuantizedMul, QuantizedSub)
def binary(node: Node, writer: Writer) -> None:
    """Writes over the first operand that has the result's size and is free."""
    assert isinstance(node.op, QuantizedAdd | QuantizedSub | QuantizedMul)
    op, (a, b) = node.op, node.inputs
    table = broadcast_table(a.type.shape, b.type.shape, node.output.type.shape)
    operands = writer.operand(a), writer.operand(b), table, op.of[0].zero_point, op.of[1].zero_point
    target = writer.result_over(node.output, a if fills(a, node.output) else b)
    stored = op.to.zero_point, *bounds(op.to, op.activation)
    if isinstance(op, QuantizedMul):
        factor = multiplier(op.of[0].scale, op.of[1].scale, op.to.scale)
        writer.call("q_mul", target, *operands, float(factor), *stored)
    else:
        writer.call("q_add", target, *operands, _both_weights(op), float(sum_multiplier(op.of, op.to)), *stored)


def _both_weights(op: QuantizedAdd | QuantizedSub) -> int:
    """p and q as the two int16 of one int32, the first in the lower half."""
    weights = whole_weights(*op.of)
    assert weights is not None
    p, q = weights
    return p + (q if isinstance(op, QuantizedAdd) else -q) * 2**16


# -- matrix products and convolutions ----------------------------------------------------------------------------------


def _computed(what: str) -> Refusal:
    return Refusal(
        f"its {what} is computed while the model runs, and the browser's kernel wants it packed beforehand",
        f"make the {what} a constant of the model, or export to another port with --to",
        "TP102",
    )


def _sums_fit(node: Node) -> Refusal | None:
    """Condition: weights are known, and no sum of products with them leaves int32."""
    if not all(value.is_constant for value in node.inputs[1:]):
        return _computed("weight")
    return _overflow() if _largest_sum(node) > LARGEST_SUM else None


def _largest_sum(node: Node) -> int:
    """Of products and bias, whatever the input is."""
    op, (weight, _, bias) = node.op, (value.array() for value in node.inputs[1:])
    assert isinstance(op, QuantizedConv | QuantizedLinear)
    widest = max(127 - op.of.zero_point, op.of.zero_point + 128)
    # Filters stand along the first axis in every layout.
    products = np.abs(weight.astype(np.int16)).reshape(weight.shape[0], -1).sum(axis=1, dtype=np.int64)
    return int((products * widest + np.abs(bias.astype(np.int64))).max(initial=0))


def _overflow() -> Refusal:
    return Refusal(
        "a sum of its products may be larger than 32 bits hold",
        "keep the layer in float32, or split it into narrower ones",
        "TP102",
    )


def _windows(node: Node) -> Refusal | None:
    return spatial_axes(node) or _sums_fit(node)


@emits(QuantizedLinear, accepts=_sums_fit)
def linear(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, QuantizedLinear)
    _gemm(node, writer, node.op, node.inputs[1].array())


@emits(QuantizedConv, accepts=_windows)
def conv(node: Node, writer: Writer) -> None:
    op, (x, weight, *_) = node.op, node.inputs
    assert isinstance(op, QuantizedConv) and op.layout is Layout.CHANNELS_LAST
    filters, *window, depth = weight.type.static_shape()
    moves = (*window, *op.stride, *(side for pair in op.padding for side in pair))
    if moves == (1,) * 4 + (0,) * 4 and op.groups == 1:
        _gemm(node, writer, op, weight.array().reshape(filters, depth))
    elif op.is_depthwise(x.type, weight.type) and filters == op.groups:
        _depthwise(node, writer, op)
    elif depth % 8 == 0 and winograd_pays(node) and _largest_sum(node) * 4 <= LARGEST_SUM:
        _winograd(node, writer, op)
    else:
        _windowed(node, writer, op)


def _columns(node: Node, writer: Writer, groups: int = 1) -> tuple[str, str]:
    """Of each column the bias, and what one step of its sum is in steps of the result."""
    assert isinstance(node.op, QuantizedConv | QuantizedLinear)
    scale, bias = node.inputs[2].array(), node.inputs[3].array()
    factor = multiplier(node.op.of.scale, scale, node.op.to.scale)
    return writer.weights(pack_columns(bias, groups)), writer.weights(pack_columns(factor, groups))


def _gemm(node: Node, writer: Writer, op: QuantizedLinear | QuantizedConv, weight: Array) -> None:
    x = node.inputs[0]
    (columns, depth), rows = weight.shape, product(x.type.shape[:-1])
    operands = writer.operand(x), writer.weights(pack_codes(weight[:, np.newaxis])), *_columns(node, writer)
    cells = _row_cells(rows, depth)
    table: list[Argument] = [rows, columns, depth, cells, op.of.zero_point, op.to.zero_point]
    scratch = _cells(writer, cells)
    writer.call("q_gemm", writer.result(node.output), *operands, scratch, table, *bounds(op.to, op.activation))


def _geometry(node: Node, op: QuantizedConv) -> tuple[list[Argument], Dim]:
    """The struct QConv of kernels/quantized.h, and the cells of scratch that it mentions."""
    x, weight, y = node.inputs[0].type, node.inputs[1].type, node.output.type
    kernel = op.kernel(weight)
    (top, _), (left, _) = op.padding
    reach = [dilation * (size - 1) + 1 for size, dilation in zip(kernel, op.dilation, strict=True)]
    rows, columns = ((count - 1) * stride + n for count, stride, n in zip(y.shape[1:3], op.stride, reach, strict=True))
    row = columns * x.shape[3]
    cells = _at_most(rows * row, BAND_CELLS, row * reach[0])
    table: list[Argument] = [*x.shape, *y.shape[1:], *kernel, *op.stride, *op.dilation, top, left, op.groups]
    return [*table, columns, cells, op.of.zero_point, op.to.zero_point], cells


def _windowed(node: Node, writer: Writer, op: QuantizedConv) -> None:
    """Taps beside one another are one where each sees all channels (kernels/q_conv.c)."""
    weight = node.inputs[1].array()
    filters, height, width, depth = weight.shape
    joined = op.groups == 1 and op.dilation[1] == 1
    taps = (filters, height, width * depth) if joined else (filters, height * width, depth)
    packed = pack_codes(weight.reshape(taps), op.groups)
    operands = writer.operand(node.inputs[0]), writer.weights(packed), *_columns(node, writer, op.groups)
    table, cells = _geometry(node, op)
    scratch = _cells(writer, cells)
    writer.call("q_conv2d", writer.result(node.output), *operands, scratch, table, *bounds(op.to, op.activation))


def _winograd(node: Node, writer: Writer, op: QuantizedConv) -> None:
    """Filters times two along each axis are whole numbers; a sum four times as large is divided exactly."""
    weight = node.inputs[1].array()
    filters, height, width, depth = weight.shape
    packed = pack_codes(weight.reshape(filters, height, width * depth))
    padded = round_up(filters, PANEL)
    made = writer.made("q_winograd_filters", padded * 8 * depth, writer.weights(packed), padded // PANEL, depth)
    operands = writer.operand(node.inputs[0]), made, *_columns(node, writer)
    geometry, block = winograd_geometry(node, (op.of.zero_point, op.to.zero_point))
    sums, cells, padding = (
        writer.scratch(block * 128),
        writer.scratch(block * 8 * depth + 256),
        writer.scratch(depth // 4),
    )
    limits = bounds(op.to, op.activation)
    writer.call("q_winograd", writer.result(node.output), *operands, geometry, sums, cells, padding, *limits)


def _depthwise(node: Node, writer: Writer, op: QuantizedConv) -> None:
    """Means have weights of 1 alone: those are not stored."""
    weight = node.inputs[1].array()
    channels, height, width, _ = weight.shape
    x, shift, step = writer.operand(node.inputs[0]), *_columns(node, writer)
    table, cells = _geometry(node, op)
    if bool((weight == 1).all()):
        limits = bounds(op.to, op.activation)
        writer.call("q_sum2d", writer.result(node.output), x, shift, step, table, *limits)
        return
    filters = writer.weights(pack_codes(weight.reshape(channels, 1, height * width)))
    scratch, taps = _cells(writer, cells), writer.scratch(height * width + 1)
    operands = x, filters, shift, step, scratch, taps, table
    writer.call("q_depthwise2d", writer.result(node.output), *operands, *bounds(op.to, op.activation))


def _products_fit(node: Node) -> Refusal | None:
    """Condition: no sum of products of two activations leaves int32."""
    assert isinstance(node.op, QuantizedMatMul)
    widest = [max(127 - of.zero_point, of.zero_point + 128) for of in node.op.of]
    depth = node.inputs[0].type.shape[-1]
    return _overflow() if isinstance(depth, int) and depth * widest[0] * widest[1] > LARGEST_SUM else None


@emits(QuantizedMatMul, accepts=_products_fit)
def matmul(node: Node, writer: Writer) -> None:
    """b is packed while the model runs, one matrix at a time; its leading axes may be fewer than a's."""
    assert isinstance(node.op, QuantizedMatMul)
    op, (a, b) = node.op, node.inputs
    rows, depth, columns = a.type.shape[-2], a.type.shape[-1], node.output.type.shape[-1]
    batch = strides(runs((a.type.shape[:-2], b.type.shape[:-2]), node.output.type.shape[:-2]))
    matrix = (1, rows * depth, depth * columns)
    axes = [entry * matrix[i % 3] for i, entry in enumerate(batch)]
    padded: Dim = (columns + PANEL - 1) // PANEL * PANEL
    cells = _row_cells(rows, depth)
    operands = writer.operand(a), writer.operand(b)
    scratch = writer.scratch(2 * padded), _cells(writer, (depth + 1) * padded + 24), _cells(writer, cells)
    steps = (1, depth) if op.transpose_b else (columns, 1)
    zeros = (of.zero_point for of in (*op.of, op.to))
    table = [len(axes) // 3, rows, columns, depth, *steps, cells, *zeros, *axes]
    factor = float(multiplier(op.of[0].scale, op.of[1].scale, op.to.scale))
    writer.call("q_matmul", writer.result(node.output), *operands, *scratch, table, factor, *bounds(op.to))
