"""Arithmetic on int8 codes: the kernels for int8, as XNNPACK computes them, and exact float32 where there is none.

XNNPACK requantizes a sum of products as exporter/ops/quantized.py has it; the kernels of builds without it round in
other ways (docs/int8.md has the figures). What XNNPACK would not take, or would clamp elsewhere, is refused.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from ....exporter.graph import Array, Dim, DType, Node, Quantization, TensorType, Value
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
from ....exporter.ops.quantized import HIGHEST, LOWEST, code_range, comes_of_exp, multiplier
from ....exporter.passes.shares import are_shares
from ...emit import Refusal
from ...means import common_filter, is_untied_mean
from ..flatfile import TensorQuantization
from ..registry import OTHER_PORTS, all_of, at_most_rank, emits
from ..schema import FUSED_ACTIVATIONS, TENSOR_TYPES, schema
from ..writer import Writer, tensor_quantization
from .conv import constant_weights, depthwise_filters, is_depthwise, two_spatial_axes, write_conv
from .linear import write_linear
from .shape import write_reshape

_EXACT = 2**24
"""float32 holds every whole number up to this one."""

_SUM_RATIOS, _PRODUCT_RATIOS, _FILTER_RATIOS = (2.0**-10, 2.0**8), (2.0**-16, 2.0**8), (0.0, 2.0**8)
"""Steps of the result that one step of the sum may be (the upper end is out): what XNNPACK's kernels are made for."""

_BINARY = {
    QuantizedAdd: ("ADD", schema.AddOptionsT),
    QuantizedSub: ("SUB", schema.SubOptionsT),
    QuantizedMul: ("MUL", schema.MulOptionsT),
}


def _step_of(node: Node) -> tuple[float, float]:
    """Smallest and largest step of a sum or product, in steps of the result."""
    op = node.op
    if isinstance(op, QuantizedConv | QuantizedLinear):
        steps = multiplier(op.of.scale, node.inputs[2].array(), op.to.scale)
    elif isinstance(op, QuantizedMul):
        steps = multiplier(op.of[0].scale, op.of[1].scale, op.to.scale)
    else:
        sum_ = cast(QuantizedAdd, op)
        steps = np.stack([multiplier(of.scale, 1.0, sum_.to.scale) for of in sum_.of])
    return float(steps.min()), float(steps.max())


def _taken_by_xnnpack(node: Node) -> Refusal | None:
    """Condition: XNNPACK has a kernel for the ratio of the scales."""
    if isinstance(node.op, QuantizedConv | QuantizedLinear):
        least, limit = _FILTER_RATIOS
    else:
        least, limit = _PRODUCT_RATIOS if isinstance(node.op, QuantizedMul) else _SUM_RATIOS
    smallest, largest = _step_of(node)
    if least <= smallest and largest < limit:
        return None
    return Refusal(
        f"one step of its sums is {smallest:.3g} to {largest:.3g} steps of its result; XNNPACK takes {least:.3g} to "
        f"{limit:.3g}",
        "calibrate with data like that which the model meets, or keep this layer in float32",
        "TP107",
    )


def _clamped_alike(node: Node) -> Refusal | None:
    """Condition: XNNPACK clamps at the code of 6; it adds the zero point before it rounds."""
    op = cast(QuantizedAdd, node.op)
    if op.activation is not Activation.RELU6:
        return None
    six = np.float32(6) / np.float32(op.to.scale) + np.float32(op.to.zero_point)
    if min(int(np.rint(six)), HIGHEST) == code_range(op.activation, op.to)[1]:
        return None
    return Refusal(
        "6, at which it clamps, lies half way between two codes of its result",
        "keep this layer in float32, or give its result a slightly larger scale",
        "TP107",
    )


@emits(Quantize, Recode)
def quantize(node: Node, writer: Writer) -> None:
    writer.operator("QUANTIZE", writer.tensors(node.inputs), writer.tensor(node.output), schema.QuantizeOptionsT())


@emits(Dequantize)
def dequantize(node: Node, writer: Writer) -> None:
    writer.operator("DEQUANTIZE", writer.tensors(node.inputs), writer.tensor(node.output), schema.DequantizeOptionsT())


@emits(QuantizedConv, accepts=all_of(two_spatial_axes, constant_weights, _taken_by_xnnpack, _clamped_alike))
def quantized_conv(node: Node, writer: Writer) -> None:
    x, weight = node.inputs[:2]
    if is_untied_mean(node):
        inputs = [writer.tensor(x), writer.int32s(Layout.CHANNELS_LAST.spatial_axes(x.type.rank), "axes")]
        writer.operator("MEAN", inputs, writer.tensor(node.output), schema.ReducerOptionsT(keepDims=True))
        return
    if common_filter(node) is not None:
        _product_with_one_filter(node, writer)
        return
    depthwise = is_depthwise(node)
    array = depthwise_filters(weight.array()) if depthwise else weight.array()
    quantization = _per_filter(node.inputs[2], 1.0, axis=3 if depthwise else 0)
    write_conv(node, writer, writer.constant(array, weight.name, quantization), _bias(node, writer))


def _product_with_one_filter(node: Node, writer: Writer) -> None:
    """FULLY_CONNECTED of the channels, which TRANSPOSE makes rows, and the filter that all of them have."""
    op, (x, weight, scales, bias) = cast(QuantizedConv, node.op), node.inputs
    batch, *sizes, channels = x.type.shape
    codes = cast(Array, common_filter(node))
    turned = TensorType(DType.INT8, (batch, channels, *sizes), op.of)
    perm = writer.int32s((0, len(sizes) + 1, *range(1, len(sizes) + 1)), "perm")
    rows = writer.step("TRANSPOSE", [writer.tensor(x), perm], node, "rows", turned, schema.TransposeOptionsT())
    by = Quantization(float(scales.array()[0]), 0)
    filters = writer.constant(codes, weight.name, tensor_quantization(by))
    steps = Quantization(float(np.float32(by.scale) * np.float32(op.of.scale)), 0)
    added = writer.constant(bias.array()[:1], bias.name, tensor_quantization(steps))
    options = schema.FullyConnectedOptionsT(fusedActivationFunction=FUSED_ACTIVATIONS[op.activation])
    means = TensorType(DType.INT8, (batch * cast(int, channels), 1), op.to)
    mean = writer.step("FULLY_CONNECTED", [rows, filters, added], node, "means", means, options)
    write_reshape(writer, node, mean, node.output.type.shape, writer.tensor(node.output))


@emits(QuantizedLinear, accepts=all_of(constant_weights, _taken_by_xnnpack, _clamped_alike))
def quantized_linear(node: Node, writer: Writer) -> None:
    x, weight, scales, _ = node.inputs
    filters = writer.constant(weight.array(), weight.name, _per_filter(scales, 1.0, axis=0))
    write_linear(node, writer, [writer.tensor(x), filters, _bias(node, writer)])


def _per_filter(scales: Value, factor: float, axis: int) -> TensorQuantization:
    """Scales of the filters times ``factor``, in float32, and zero points of 0."""
    array = np.asarray(scales.array(), np.float32) * np.float32(factor)
    return TensorQuantization(tuple(array.tolist()), (0,) * array.size, axis)


def _bias(node: Node, writer: Writer) -> int:
    """The bias, in steps of the product of both scales."""
    op, scales, bias = cast(QuantizedConv, node.op), node.inputs[2], node.inputs[3]
    return writer.constant(bias.array(), bias.name, _per_filter(scales, op.of.scale, axis=0))


@emits(*_BINARY, accepts=all_of(at_most_rank(5), _taken_by_xnnpack, _clamped_alike))
def binary(node: Node, writer: Writer) -> None:
    op = cast(QuantizedAdd, node.op)
    code, options = _BINARY[type(op)]
    fused = options(fusedActivationFunction=FUSED_ACTIVATIONS[op.activation])
    writer.operator(code, writer.tensors(node.inputs), writer.tensor(node.output), fused)


def _exact_in_float32(node: Node) -> Refusal | None:
    """Condition: products and their sums are whole multiples of a power of two that float32 holds."""
    op, a = cast(QuantizedMatMul, node.op), node.inputs[0]
    if any(math.frexp(of.scale)[0] != 0.5 for of in op.of):
        return Refusal(
            f"its operands have the scales {op.of[0].scale:.6g} and {op.of[1].scale:.6g}, and the sums of their "
            "products are exact in float32 only where both are powers of two",
            "quantize the model again (triport quantize), or keep this layer in float32",
            "TP107",
        )
    largest = _largest_sum(a, op.of[0]) * _reach(op.of[1])
    if largest <= _EXACT:
        return None
    return Refusal(
        f"a sum over {a.type.shape[-1]} products may reach {largest:.3g}, and float32 holds whole numbers up to 2**24",
        f"keep this layer in float32, or {OTHER_PORTS}",
        "TP107",
    )


def _reach(of: Quantization) -> int:
    """The largest size of a code less its zero point."""
    return max(of.zero_point - LOWEST, HIGHEST - of.zero_point)


def _largest_sum(a: Value, of: Quantization) -> float:
    """The largest sum of sizes of codes along the last axis, less the zero point; inf where its length is free."""
    length = a.type.shape[-1]
    if are_shares(a):
        # Shares add up to 1, and each is rounded by half a step at most; no free axis is that long.
        return 1 / of.scale + (length / 2 if isinstance(length, int) else 2**15)
    return length * _reach(of) if isinstance(length, int) else math.inf


@emits(QuantizedMatMul, accepts=all_of(at_most_rank(5), _exact_in_float32))
def quantized_matmul(node: Node, writer: Writer) -> None:
    """DEQUANTIZE, BATCH_MATMUL and QUANTIZE: the kernel for int8 rounds differently from runtime to runtime."""
    op = cast(QuantizedMatMul, node.op)
    reals = [
        writer.step("DEQUANTIZE", [writer.tensor(x)], node, "real", _real(x.type.shape), schema.DequantizeOptionsT())
        for x in node.inputs
    ]
    # XNNPACK would multiply by the codes of b themselves where their zero point is 0, with scales that it keeps from
    # before a resize (LiteRT 2.3). A bound below every number keeps it from that.
    right = node.inputs[1].type
    inputs = [reals[1], writer.scalar(2 * LOWEST * op.of[1].scale)]
    reals[1] = writer.step("MAXIMUM", inputs, node, "right", _real(right.shape), schema.MaximumMinimumOptionsT())
    options = schema.BatchMatMulOptionsT(adjY=op.transpose_b)
    product = writer.step("BATCH_MATMUL", reals, node, "product", _real(node.output.type.shape), options)
    writer.operator("QUANTIZE", [product], writer.tensor(node.output), schema.QuantizeOptionsT())


def _real(shape: tuple[Dim, ...]) -> TensorType:
    return TensorType(DType.FLOAT32, shape)


@emits(Lookup, accepts=at_most_rank(5))
def lookup(node: Node, writer: Writer) -> None:
    """GATHER, whose numbers count from 0."""
    x, table = node.inputs
    whole = TensorType(DType.INT32, x.type.shape)
    offset = writer.constant(np.array(-LOWEST, np.int32), "offset")
    number = writer.step("ADD", [_whole(node, writer), offset], node, "number", whole, schema.AddOptionsT())
    inputs = [writer.tensor(table), number]
    writer.operator("GATHER", inputs, writer.tensor(node.output), schema.GatherOptionsT(axis=0))


def _whole(node: Node, writer: Writer) -> int:
    """The codes of the first operand as int32."""
    x = node.inputs[0]
    options = schema.CastOptionsT(inDataType=TENSOR_TYPES[DType.INT8], outDataType=TENSOR_TYPES[DType.INT32])
    return writer.step("CAST", [writer.tensor(x)], node, "codes", TensorType(DType.INT32, x.type.shape), options)


def _looked_up(node: Node, writer: Writer, axes: int, along: tuple[Dim, ...]) -> int:
    """table[max(x) - x]: any table, in LiteRT's own kernels, which take four times as long as `_rounded_exp`."""
    x, table = node.inputs
    whole, keep = TensorType(DType.INT32, x.type.shape), schema.ReducerOptionsT(keepDims=True)
    codes = _whole(node, writer)
    top = writer.step("REDUCE_MAX", [codes, axes], node, "top", TensorType(DType.INT32, along), keep)
    below = writer.step("SUB", [top, codes], node, "below the top", whole, schema.SubOptionsT())
    inputs = [writer.tensor(table), below]
    return writer.step("GATHER", inputs, node, "e", _real(x.type.shape), schema.GatherOptionsT(axis=0))


def _rounded_exp(node: Node, writer: Writer, axes: int, along: tuple[Dim, ...]) -> int:
    """round(table[0] * exp(x - max(x))), the difference in codes: XNNPACK computes it in one piece.

    There are no ties, so that FLOOR rounds; LiteRT's reference kernels lack ROUND.
    """
    x, table = node.inputs
    shape, of = x.type.shape, cast(QuantizedSoftmax, node.op).of
    keep = schema.ReducerOptionsT(keepDims=True)
    top = writer.step("REDUCE_MAX", [writer.tensor(x), axes], node, "top", x.type.with_shape(along), keep)
    difference = TensorType(DType.INT8, shape, Quantization(of.scale, HIGHEST))
    below = writer.step("SUB", [writer.tensor(x), top], node, "below the top", difference, schema.SubOptionsT())
    real = writer.step("DEQUANTIZE", [below], node, "real", _real(shape), schema.DequantizeOptionsT())
    e = writer.step("EXP", [real], node, "exp", _real(shape), schema.ExpOptionsT())
    largest = writer.scalar(float(table.array()[0]))
    e = writer.step("MUL", [e, largest], node, "steps", _real(shape), schema.MulOptionsT())
    e = writer.step("ADD", [e, writer.scalar(0.5)], node, "half a step up", _real(shape), schema.AddOptionsT())
    return writer.step("FLOOR", [e], node, "e", _real(shape))


@emits(QuantizedSoftmax, accepts=at_most_rank(5))
def quantized_softmax(node: Node, writer: Writer) -> None:
    """Whole numbers and their exact sum; SOFTMAX for int8 is a step off here and there."""
    op, (x, table) = cast(QuantizedSoftmax, node.op), node.inputs
    shape, axis = x.type.shape, normalize_axis(op.axis, x.type.rank)
    along = (*shape[:axis], 1, *shape[axis + 1 :])
    axes, keep = writer.int32s([axis], "axes"), schema.ReducerOptionsT(keepDims=True)
    by_exp = table.is_constant and comes_of_exp(table.array(), op.of.scale)
    e = (_rounded_exp if by_exp else _looked_up)(node, writer, axes, along)
    total = writer.step("SUM", [e, axes], node, "total", _real(along), keep)
    if op.to is None:
        writer.operator("DIV", [e, total], writer.tensor(node.output), schema.DivOptionsT())
        return
    share = writer.step("DIV", [e, total], node, "share", _real(shape), schema.DivOptionsT())
    writer.operator("QUANTIZE", [share], writer.tensor(node.output), schema.QuantizeOptionsT())
