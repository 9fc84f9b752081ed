"""Quantized ops in torch: sums of whole numbers in float64, exact below 2**53, then one float32 multiplication."""

from __future__ import annotations

from dataclasses import fields

import torch

from ..graph.types import Quantization
from ..ops import (
    Activation,
    Conv,
    Dequantize,
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
from ..ops.quantized import HIGHEST, LOWEST, code_range, multiplier, sum_multiplier, whole_weights
from .conv import conv
from .registry import Sizes, computes


def requantized(
    total: torch.Tensor, factor: torch.Tensor, to: Quantization, activation: Activation = Activation.NONE
) -> torch.Tensor:
    """Codes of whole numbers (float64) whose step is ``factor`` (float32) steps of the result."""
    steps = torch.round(total.to(torch.float32) * factor) + to.zero_point
    return steps.clamp(*code_range(activation, to)).to(torch.int8)


def centred(codes: torch.Tensor, of: Quantization) -> torch.Tensor:
    """Codes less their zero point, as float64."""
    return codes.to(torch.float64) - of.zero_point


def _factor(x: float, weight: torch.Tensor | float, y: float) -> torch.Tensor:
    scales = weight.to(torch.float32).numpy() if isinstance(weight, torch.Tensor) else weight
    return torch.from_numpy(multiplier(x, scales, y).copy())


@computes(Quantize)
def quantize(op: Quantize, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return _codes(x.to(torch.float32), op.to)


def _codes(x: torch.Tensor, to: Quantization) -> torch.Tensor:
    inverse = torch.tensor(1.0, dtype=torch.float32) / torch.tensor(to.scale, dtype=torch.float32)
    return (torch.round(x * inverse) + to.zero_point).clamp(LOWEST, HIGHEST).to(torch.int8)


@computes(Dequantize)
def dequantize(op: Dequantize, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return (x.to(torch.int32) - op.of.zero_point).to(torch.float32) * torch.tensor(op.of.scale, dtype=torch.float32)


@computes(Recode)
def recode(op: Recode, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    wide = x.to(torch.int16)
    return (wide + LOWEST).to(torch.int8) if x.dtype is torch.uint8 else (wide - LOWEST).to(torch.uint8)


@computes(QuantizedConv)
def quantized_conv(
    op: QuantizedConv,
    x: torch.Tensor,
    weight: torch.Tensor,
    weight_scale: torch.Tensor,
    bias: torch.Tensor,
    *,
    sizes: Sizes,
) -> torch.Tensor:
    own = {f.name: getattr(op, f.name) for f in fields(Conv)} | {"activation": Activation.NONE}
    total = conv(Conv(**own), centred(x, op.of), weight.to(torch.float64), bias.to(torch.float64), sizes=sizes)
    per_filter = [1] * total.dim()
    per_filter[op.layout.channel_axis(total.dim())] = -1
    factor = _factor(op.of.scale, weight_scale, op.to.scale).reshape(per_filter)
    return requantized(total, factor, op.to, op.activation)


@computes(QuantizedLinear)
def quantized_linear(
    op: QuantizedLinear,
    x: torch.Tensor,
    weight: torch.Tensor,
    weight_scale: torch.Tensor,
    bias: torch.Tensor,
    *,
    sizes: Sizes,
) -> torch.Tensor:
    total = centred(x, op.of) @ weight.to(torch.float64).T + bias.to(torch.float64)
    return requantized(total, _factor(op.of.scale, weight_scale, op.to.scale), op.to, op.activation)


@computes(QuantizedMatMul)
def quantized_matmul(op: QuantizedMatMul, a: torch.Tensor, b: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    of_a, of_b = op.of
    right = centred(b, of_b)
    total = centred(a, of_a) @ (right.transpose(-1, -2) if op.transpose_b else right)
    return requantized(total, _factor(of_a.scale, of_b.scale, op.to.scale), op.to)


@computes(QuantizedAdd, QuantizedSub)
def quantized_sum(op: QuantizedAdd | QuantizedSub, a: torch.Tensor, b: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    weights = whole_weights(*op.of)
    assert weights is not None
    left, right = (weight * centred(x, of) for weight, x, of in zip(weights, (a, b), op.of, strict=True))
    total = left + right if isinstance(op, QuantizedAdd) else left - right
    return requantized(total, torch.from_numpy(sum_multiplier(op.of, op.to)), op.to, op.activation)


@computes(QuantizedMul)
def quantized_mul(op: QuantizedMul, a: torch.Tensor, b: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    of_a, of_b = op.of
    total = centred(a, of_a) * centred(b, of_b)
    return requantized(total, _factor(of_a.scale, of_b.scale, op.to.scale), op.to, op.activation)


@computes(Lookup)
def lookup(op: Lookup, x: torch.Tensor, table: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return table[x.to(torch.int64) - LOWEST]


@computes(QuantizedSoftmax)
def quantized_softmax(op: QuantizedSoftmax, x: torch.Tensor, table: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    codes = x.to(torch.int64)
    e = table.to(torch.float32)[codes.amax(op.axis, keepdim=True) - codes]
    share = e / e.to(torch.float64).sum(op.axis, keepdim=True).to(torch.float32)
    return share if op.to is None else _codes(share, op.to)
