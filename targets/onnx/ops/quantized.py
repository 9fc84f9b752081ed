"""Arithmetic on codes, in ONNX's QOperator form.

Codes are uint8 here, 128 above the graph's (`writer.as_stored`). Every node takes and gives integers itself: what a
float node between dequantized operands computes depends on what ONNX Runtime makes of the three of them.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from ....exporter.graph import Array, DType, Node, Quantization, Value
from ....exporter.ops import (
    Activation,
    Dequantize,
    Layout,
    Linear,
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
from ....exporter.ops.quantized import HIGHEST, LOWEST, code_range, nearest_tie
from ....exporter.passes.tabulate import Chain
from ...emit import Refusal, constant_parameters
from ...means import common_filter, is_untied_mean
from ...pairs import fits_in_pairs
from ..emitters import emits
from ..writer import MICROSOFT, OnnxWriter, as_stored, onnx_dtype
from .conv import window
from .reduce import reduce_node
from .shape import reshape_node

LEAST_FROM_TIE = 3e-4
"""Steps. float32 functions are off by up to 2.5e-4 of 255 steps; a plan keeps them 5e-4 away (quantize/solve.py)."""


@emits(Quantize)
def quantize(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, Quantize)
    _to_codes(node, writer, node.inputs[0], node.op.to, untied=_is_untied(node.inputs[0], node.op.to))


def _is_untied(x: Value, to: Quantization) -> bool:
    """Whether x is computed of one code, cell by cell, and none of the 256 results comes near a tie, as a plan has it.

    Then any kernel that ONNX Runtime makes of the ops gives the codes that the graph says.
    """
    chain = Chain(x)
    if chain.start is None:
        return False
    steps = chain.results() / to.scale
    return bool(np.isfinite(steps).all()) and nearest_tie(steps, to) >= LEAST_FROM_TIE


@emits(Dequantize)
def dequantize(node: Node, writer: OnnxWriter) -> None:
    """Where several nodes read the numbers, the scale is a product of its own: ONNX Runtime dequantizes for each."""
    assert isinstance(node.op, Dequantize)
    x, of = node.inputs[0], node.op.of
    if len(node.output.users) < 2:
        writer.node("DequantizeLinear", node, [x, *_of(node, writer, "of", of)])
        return
    steps: list[Value | str] = [x, *_of(node, writer, "steps", Quantization(1.0, of.zero_point))]
    whole = writer.node("DequantizeLinear", node, steps, output=f"{node.name}/steps")
    writer.node("Mul", node, [whole, writer.constant(node, "of/scale", np.asarray(of.scale, np.float32))])


@emits(Recode)
def recode(node: Node, writer: OnnxWriter) -> None:
    """Codes are uint8 in the file already."""
    writer.node("Identity", node)


@emits(QuantizedConv, accepts=constant_parameters(1, 3))
def conv(node: Node, writer: OnnxWriter) -> None:
    op = node.op
    assert isinstance(op, QuantizedConv) and op.layout is Layout.CHANNELS_FIRST
    if is_untied_mean(node):
        operands: list[Value | str] = [node.inputs[0], *_of(node, writer, "of", op.of), *_of(node, writer, "to", op.to)]
        writer.node("QLinearGlobalAveragePool", node, operands, domain=MICROSOFT, channels_last=0)
        return
    if common_filter(node) is not None:
        _product_with_one_filter(node, writer)
        return
    x, weight, scales, bias = node.inputs
    channels = x.type.shape[1]
    assert isinstance(channels, int)
    filters, zero = _filters(node, writer, fits_in_pairs(op, weight.array(), channels), zero_points=())
    writer.node(
        "QLinearConv",
        node,
        [x, *_of(node, writer, "of", op.of), filters, scales, zero, *_of(node, writer, "to", op.to), bias],
        output=_unclamped(node, op.activation, op.to),
        kernel_shape=op.kernel(weight.type),
        **window(op, op.padding),
    )
    _clamp(node, writer, op.activation, op.to)


def _product_with_one_filter(node: Node, writer: OnnxWriter) -> None:
    """QGemm of the channels, each of which is a row, and the filter that all of them have."""
    op, codes = cast(QuantizedConv, node.op), cast(Array, common_filter(node))
    as_int8 = fits_in_pairs(Linear(), codes, codes.size)
    stored = [("weight", codes), ("weight/zero_point", np.zeros(1, np.int8))]
    filters, zeros = (writer.constant(node, role, x if as_int8 else as_stored(x)) for role, x in stored)
    scales, bias = (
        writer.constant(node, role, value.array()[:1])
        for role, value in zip(("scale", "bias"), node.inputs[2:], strict=True)
    )
    flat = writer.ints(node, "flat", (-1, codes.size))
    rows = writer.node("Reshape", node, [node.inputs[0], flat], output=f"{node.name}/rows")
    operands = [rows, *_of(node, writer, "of", op.of), filters, scales, zeros, bias, *_of(node, writer, "to", op.to)]
    means = writer.node("QGemm", node, operands, output=f"{node.name}/means", domain=MICROSOFT, transB=1)
    unclamped = _unclamped(node, op.activation, op.to)
    reshape_node(writer, node, means, node.output.type.shape, unclamped)
    _clamp(node, writer, op.activation, op.to)


@emits(QuantizedLinear, accepts=constant_parameters(1, 3))
def linear(node: Node, writer: OnnxWriter) -> None:
    """QGemm takes matrices only: other ranks are flattened to rows. It wants as many zero points as scales."""
    op = node.op
    assert isinstance(op, QuantizedLinear)
    x, weight, scales, bias = node.inputs
    matrices, unclamped = x.type.rank == 2, _unclamped(node, op.activation, op.to)
    outputs, channels = weight.array().shape
    filters, zeros = _filters(node, writer, fits_in_pairs(op, weight.array(), channels), zero_points=(outputs,))
    rows: Value | str = x
    if not matrices:
        flat = writer.ints(node, "flat", (-1, channels))
        rows = writer.node("Reshape", node, [x, flat], output=f"{node.name}/rows")
    product = writer.node(
        "QGemm",
        node,
        [rows, *_of(node, writer, "of", op.of), filters, scales, zeros, bias, *_of(node, writer, "to", op.to)],
        output=unclamped if matrices else f"{node.name}/products",
        domain=MICROSOFT,
        transB=1,
    )
    if not matrices:
        reshape_node(writer, node, product, node.output.type.shape, unclamped)
    _clamp(node, writer, op.activation, op.to)


def _filters(node: Node, writer: OnnxWriter, as_int8: bool, zero_points: tuple[int, ...]) -> tuple[str, str]:
    """Initialisers: weights and their zero point, as int8 where that is exact on every processor, else as uint8."""
    codes = node.inputs[1].array()
    zero = np.zeros(zero_points, np.int8)
    stored = [("weight", codes), ("weight/zero_point", zero)]
    filters, zeros = (writer.constant(node, role, x if as_int8 else as_stored(x)) for role, x in stored)
    return filters, zeros


def _plain(node: Node) -> Refusal | None:
    assert isinstance(node.op, QuantizedMatMul)
    if not node.op.transpose_b:
        return None
    return Refusal("ONNX's QLinearMatMul takes no transposed operand", "transpose it before the product")


@emits(QuantizedMatMul, accepts=_plain)
def matmul(node: Node, writer: OnnxWriter) -> None:
    op = node.op
    assert isinstance(op, QuantizedMatMul)
    writer.node("QLinearMatMul", node, _pair(node, writer, op.of, op.to))


@emits(QuantizedAdd, QuantizedSub)
def sums(node: Node, writer: OnnxWriter) -> None:
    """A difference is a sum whose second scale is negative: ONNX Runtime has no QLinearSub."""
    op = node.op
    assert isinstance(op, QuantizedAdd | QuantizedSub)
    operands = _pair(node, writer, op.of, op.to)
    if isinstance(op, QuantizedSub):
        operands[4] = writer.constant(node, "of_1/negative_scale", np.asarray(-op.of[1].scale, np.float32))
    output = _unclamped(node, op.activation, op.to)
    writer.node("QLinearAdd", node, operands, output=output, domain=MICROSOFT)
    _clamp(node, writer, op.activation, op.to)


@emits(QuantizedMul)
def mul(node: Node, writer: OnnxWriter) -> None:
    op = node.op
    assert isinstance(op, QuantizedMul)
    output = _unclamped(node, op.activation, op.to)
    writer.node("QLinearMul", node, _pair(node, writer, op.of, op.to), output=output, domain=MICROSOFT)
    _clamp(node, writer, op.activation, op.to)


@emits(Lookup, accepts=constant_parameters(1, 2))
def lookup(node: Node, writer: OnnxWriter) -> None:
    """A stored code is its own place in the table; a table of codes that stay, or stay at a bound, is that clamp."""
    x, table = node.inputs
    codes = table.array()
    if codes.dtype == np.int8 and (codes == np.clip(np.arange(LOWEST, HIGHEST + 1), codes[0], codes[-1])).all():
        bounds = [
            writer.constant(node, role, as_stored(np.asarray(codes[place])))
            for place, role in ((0, "lowest"), (-1, "highest"))
        ]
        writer.node("Clip", node, [x, *bounds])
        return
    cells = table.array() if table.type.dtype is DType.FLOAT32 else as_stored(table.array())
    places = writer.node("Cast", node, [x], output=f"{node.name}/places", to=onnx_dtype(DType.INT32))
    _look_up(node, writer, writer.constant(node, "table", cells), places)


@emits(QuantizedSoftmax)
def softmax(node: Node, writer: OnnxWriter) -> None:
    """Whole numbers up to the division, in int32 and in float32, which holds them exactly."""
    op = node.op
    assert isinstance(op, QuantizedSoftmax)
    x, table = node.inputs
    codes = writer.node("Cast", node, [x], output=f"{node.name}/int32", to=onnx_dtype(DType.INT32))
    greatest = reduce_node(writer, node, "ReduceMax", codes, (op.axis,), output=f"{node.name}/greatest")
    below = writer.node("Sub", node, [greatest, codes], output=f"{node.name}/below")
    parts = _look_up(node, writer, writer.name(table), below, output=f"{node.name}/parts")
    total = reduce_node(writer, node, "ReduceSum", parts, (op.axis,), output=f"{node.name}/total")
    if op.to is None:
        writer.node("Div", node, [parts, total])
        return
    share = writer.node("Div", node, [parts, total], output=f"{node.name}/share")
    _to_codes(node, writer, share, op.to, of_codes=False)


def _look_up(node: Node, writer: OnnxWriter, table: str, places: str, output: str | None = None) -> str:
    """The table's cell at each place, in the shape of the node's output.

    GatherElements along one axis is a plain loop in ONNX Runtime; Gather copies cell by cell, 15 times slower.
    """
    row = writer.ints(node, "row", [-1])
    flat = writer.node("Reshape", node, [places, row], output=f"{node.name}/flat_places")
    cells = writer.node("GatherElements", node, [table, flat], output=f"{node.name}/cells", axis=0)
    return reshape_node(writer, node, cells, node.output.type.shape, output)


def _to_codes(
    node: Node, writer: OnnxWriter, x: Value | str, to: Quantization, *, of_codes: bool = True, untied: bool = False
) -> None:
    """The node's output: codes of a float tensor.

    QuantizeLinear divides by its scale, the graph's `Quantize` multiplies by the inverse: the same for a power of two,
    and where x is known to lie ``untied``. Powers of two are left to QuantizeLinear at an input, and behind what is
    not computed ``of_codes``. Behind a float op on dequantized operands ONNX Runtime would take all of them for a
    pattern, and compute it in a kernel that rounds in its own way.
    """
    steps, scale = writer.name(x), to.scale
    power_of_two = float(np.frexp(scale)[0]) == 0.5
    if not untied and (not power_of_two or (of_codes and x not in writer.inputs)):
        inverse = writer.constant(node, "inverse_scale", np.asarray(np.float32(1) / np.float32(scale), np.float32))
        steps, scale = writer.node("Mul", node, [x, inverse], output=f"{node.name}/steps"), 1.0
    writer.node("QuantizeLinear", node, [steps, *_of(node, writer, "to", Quantization(scale, to.zero_point))])


def _pair(node: Node, writer: OnnxWriter, of: tuple[Quantization, Quantization], to: Quantization) -> list[Value | str]:
    """Two operands and the result, each with its scale and zero point."""
    a, b = node.inputs
    left, right = (_of(node, writer, f"of_{i}", quantization) for i, quantization in enumerate(of))
    return [a, *left, b, *right, *_of(node, writer, "to", to)]


def _of(node: Node, writer: OnnxWriter, role: str, of: Quantization) -> tuple[str, str]:
    """Initialisers: what stored codes stand for."""
    return (
        writer.constant(node, f"{role}/scale", np.asarray(of.scale, np.float32)),
        writer.constant(node, f"{role}/zero_point", np.asarray(of.zero_point - LOWEST, np.uint8)),
    )


def _unclamped(node: Node, activation: Activation, to: Quantization) -> str | None:
    """Where a kernel writes what `_clamp` reads; None: the node's own output, nothing is left to clamp."""
    return None if code_range(activation, to) == (LOWEST, HIGHEST) else f"{node.name}/unclamped"


def _clamp(node: Node, writer: OnnxWriter, activation: Activation, to: Quantization) -> None:
    before = _unclamped(node, activation, to)
    if before is not None:
        bounds = [
            writer.constant(node, role, np.asarray(code - LOWEST, np.uint8))
            for role, code in zip(("lowest", "highest"), code_range(activation, to), strict=True)
        ]
        writer.node("Clip", node, [before, *bounds])
