"""A small network over codes with every kind of layer that a plan makes, and real numbers in between."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from triport.exporter.graph import Array, DType, Graph, Quantization, TensorType, Value
from triport.exporter.ops import (
    Activation,
    Concat,
    Dequantize,
    HardSwish,
    Lookup,
    MaxPool,
    OpAttrs,
    Quantize,
    QuantizedAdd,
    QuantizedConv,
    QuantizedLinear,
    QuantizedMul,
    QuantizedSoftmax,
    QuantizedSub,
    Reshape,
    Sigmoid,
)
from triport.quantize.arithmetic import Reals, add_is_safe, mul_is_safe, nudged, sub_is_safe, unary_margin

from .case import BATCH

SAME = ((1, 1), (1, 1))
ONE = (1, 1)


def _q(scale: float, zero_point: int) -> Quantization:
    return Quantization(float(np.float32(scale)), zero_point)


def _chosen(scale: float, zero_point: int, is_safe: Callable[[Quantization], bool]) -> Quantization:
    found = nudged(scale, lambda candidate: is_safe(Quantization(candidate, zero_point)))
    assert found is not None
    return Quantization(found, zero_point)


def _of(x: Value) -> Quantization:
    assert x.quantization is not None
    return x.quantization


class _Builder:
    def __init__(self) -> None:
        self.graph = Graph("quantized network")
        self.random = np.random.default_rng(3)

    def add(self, op: OpAttrs, *inputs: Value) -> Value:
        return self.graph.add(op, *inputs)

    def parameters(self, weight: tuple[int, ...], of: Quantization, to: Quantization) -> list[Value]:
        """Codes of weights whose sums fill those of ``to``, their scales and biases."""
        taps = float(np.prod(weight[1:]))
        scale = to.scale / (of.scale * 45 * taps**0.5)
        arrays: list[Array] = [
            self.random.integers(-127, 128, weight).astype(np.int8),
            (scale * self.random.uniform(0.5, 1.5, weight[0])).astype(np.float32),
            self.random.integers(-3000, 3000, weight[0]).astype(np.int32),
        ]
        return [self.graph.add_constant(array) for array in arrays]

    def conv(
        self,
        x: Value,
        weight: tuple[int, ...],
        to: Quantization,
        *,
        stride: int = 1,
        groups: int = 1,
        activation: Activation = Activation.NONE,
    ) -> Value:
        padding = SAME if weight[2] == 3 else ((0, 0), (0, 0))
        op = QuantizedConv((stride, stride), padding, ONE, groups, activation=activation, of=_of(x), to=to)
        return self.add(op, x, *self.parameters(weight, _of(x), to))

    def linear(self, x: Value, outputs: int, to: Quantization) -> Value:
        width = x.type.static_shape()[-1] if not x.type.free_names else x.type.shape[-1]
        assert isinstance(width, int)
        return self.add(QuantizedLinear(of=_of(x), to=to), x, *self.parameters((outputs, width), _of(x), to))

    def average(self, x: Value, channels: int, size: int) -> Value:
        """The mean over the image, as a plan spells it: a depthwise convolution with weights of one."""
        op = QuantizedConv(ONE, ((0, 0), (0, 0)), ONE, channels, of=_of(x), to=_of(x))
        parameters: list[Array] = [
            np.ones((channels, 1, size, size), np.int8),
            np.full(channels, 1 / size**2, np.float32),
            np.zeros(channels, np.int32),
        ]
        return self.add(op, x, *(self.graph.add_constant(array) for array in parameters))

    def unary(self, op: OpAttrs, formula: Callable[[Reals], Reals], x: Value, scale: float, zero_point: int) -> Value:
        """Dequantize, a float op, quantize: the scale keeps all 256 results away from ties."""
        to = _chosen(scale, zero_point, lambda to: unary_margin(formula, _of(x), to) > 1e-3)
        return self.add(Quantize(to), self.add(op, self.add(Dequantize(_of(x)), x)))


def _sigmoid(x: Reals) -> Reals:
    return 1 / (1 + np.exp(-x))


def _hard_swish(x: Reals) -> Reals:
    return x * np.clip(x + 3, 0, 6) / 6


def quantized_network(*, io: DType = DType.FLOAT32) -> Graph:
    """Image [batch, 3, 16, 16] → probabilities, the scores' codes, and the codes in the middle.

    io   what the image is: float32, or int8 codes of it
    """
    b = _Builder()
    image = _q(2.0**-6, -1)
    if io is DType.INT8:
        x = b.graph.add_input("x", TensorType(DType.INT8, (BATCH, 3, 16, 16), image))
    else:
        x = b.add(Quantize(image), b.graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 3, 16, 16))))
    stem = b.conv(x, (8, 3, 3, 3), _q(6 / 255, -128), stride=2, activation=Activation.RELU6)
    wide = b.conv(stem, (24, 8, 1, 1), _q(6 / 255, -128), activation=Activation.RELU6)
    deep = b.conv(wide, (24, 1, 3, 3), _q(0.0213, -40), groups=24, activation=Activation.RELU)
    shared = _q(0.0371, 9)
    left, right = b.conv(deep, (8, 24, 1, 1), shared), b.conv(stem, (8, 8, 1, 1), shared)
    alike = shared, shared
    added = b.add(QuantizedAdd(_chosen(0.0511, 4, lambda to: add_is_safe(*alike, to)), of=alike), left, right)
    less = b.add(QuantizedSub(_chosen(0.0511, -6, lambda to: sub_is_safe(*alike, to)), of=alike), left, right)
    swished = b.unary(HardSwish(), _hard_swish, less, 0.0231, -100)
    gate = b.unary(Sigmoid(), _sigmoid, b.conv(b.average(swished, 8, 8), (8, 8, 1, 1), _q(0.043, 3)), 1 / 256, -128)
    scaled = _chosen(0.0217, -90, lambda to: mul_is_safe(_of(swished), _of(gate), to))
    gated = b.add(QuantizedMul(scaled, of=(_of(swished), _of(gate))), swished, gate)
    again = b.conv(gated, (8, 8, 3, 3), _of(added), activation=Activation.RELU)
    both = b.add(Concat(1), added, again)
    pooled = b.add(MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), ONE), both)
    table = b.graph.add_constant(b.random.integers(-128, 128, 256).astype(np.int8))
    looked_up = b.add(Lookup(_of(pooled), _q(0.031, 0)), pooled, table)
    scores = b.linear(b.add(Reshape((BATCH, 16 * 4 * 4)), looked_up), 10, _q(0.0625, 0))
    parts = np.round(np.exp(-np.arange(256) * 0.0625) * 2**14).astype(np.float32)
    shares = b.add(QuantizedSoftmax(1, _of(scores), None), scores, b.graph.add_constant(parts))
    b.graph.set_output("shares", shares)
    b.graph.set_output("scores", scores)
    b.graph.set_output("middle", added)
    b.graph.set_output("real", b.add(Dequantize(_of(both)), both))
    return b.graph


def quantized_images(batch: int, *, io: DType = DType.FLOAT32) -> dict[str, Array]:
    """Images beyond the codes' range here and there."""
    random = np.random.default_rng(batch)
    if io is DType.INT8:
        return {"x": random.integers(-128, 128, (batch, 3, 16, 16)).astype(np.int8)}
    return {"x": random.normal(0, 0.9, (batch, 3, 16, 16)).astype(np.float32)}
