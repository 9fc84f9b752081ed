"""Small float networks, one for each form that a node can have once it is quantized, over images [batch, 6, 8, 8]."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from triport.exporter.graph import Array, DType, Graph, TensorType, Value
from triport.exporter.ops import (
    Activation,
    Add,
    AveragePool,
    BatchNorm,
    Concat,
    Conv,
    ConvTranspose,
    Elu,
    Gelu,
    HardSwish,
    LayerNorm,
    Linear,
    MatMul,
    MaxPool,
    Mul,
    ReduceMax,
    ReduceMean,
    Reshape,
    Round,
    Sigmoid,
    Silu,
    Softmax,
    Sub,
    Tanh,
    Transpose,
)

from .case import BATCH

ONE, NONE, EDGES = (1, 1), ((0, 0), (0, 0)), ((1, 1), (1, 1))
SHAPE = (6, 8, 8)


class Builder:
    def __init__(self, name: str) -> None:
        self.graph = Graph(name)
        self.random = np.random.default_rng(len(name))

    def weight(self, *shape: int) -> Value:
        spread = 1.5 * float(np.prod(shape[1:])) ** -0.5
        return self.graph.add_constant(self.random.normal(0, spread, shape).astype(np.float32))

    def row(self, low: float = -1, high: float = 1) -> Value:
        return self.graph.add_constant(self.random.uniform(low, high, SHAPE[0]).astype(np.float32))

    def conv(self, x: Value, activation: Activation = Activation.NONE) -> Value:
        """1x1 filters: what is seen as codes behind them has left the float32 input."""
        op = Conv(ONE, NONE, ONE, activation=activation)
        return self.graph.add(op, x, self.weight(SHAPE[0], SHAPE[0], 1, 1), self.row())

    def tokens(self, x: Value) -> Value:
        """[batch, 6, 8, 8] → [batch, 64, 6]"""
        flat = self.graph.add(Reshape((BATCH, SHAPE[0], 64)), x)
        return self.graph.add(Transpose((0, 2, 1)), flat)


Form = Callable[[Builder, Value], Value]


def _depthwise(b: Builder, x: Value) -> Value:
    return b.graph.add(Conv((2, 2), EDGES, ONE, 6, activation=Activation.RELU6), x, b.weight(6, 1, 3, 3), b.row())


def _linear(b: Builder, x: Value) -> Value:
    return b.graph.add(Linear(), b.tokens(x), b.weight(48, 6), b.graph.add_constant(np.ones(48, np.float32)))


def _sum(op: Add | Sub, b: Builder, x: Value) -> Value:
    return b.graph.add(op, x, b.conv(x))


def _product(b: Builder, x: Value) -> Value:
    gate = b.graph.add(Sigmoid(), b.conv(b.graph.add(ReduceMean((2, 3), True), x)))
    return b.graph.add(Mul(), x, gate)


def _pairs(b: Builder, x: Value) -> Value:
    return b.graph.add(Mul(), x, b.conv(x))


def _global_mean(b: Builder, x: Value) -> Value:
    wide = b.graph.add(Conv(ONE, NONE, ONE), x, b.weight(512, 6, 1, 1))
    return b.graph.add(ReduceMean((2, 3), False), wide)


def _means(b: Builder, x: Value) -> Value:
    return b.graph.add(AveragePool((3, 3), ONE, EDGES, ONE, count_include_pad=True), x)


def _norm(b: Builder, x: Value) -> Value:
    return b.graph.add(BatchNorm(1e-5), b.graph.add(HardSwish(), x), b.row(0.5), b.row(), b.row(), b.row(0.1))


def _transposed(b: Builder, x: Value) -> Value:
    return b.graph.add(ConvTranspose((2, 2), NONE, ONE), x, b.weight(6, 5, 3, 3))


def _attention(b: Builder, x: Value) -> Value:
    queries, keys = b.tokens(x), b.tokens(b.conv(x))
    shares = b.graph.add(Softmax(2), b.graph.add(MatMul(transpose_b=True), queries, keys))
    return b.graph.add(MatMul(), shares, b.tokens(b.conv(x)))


def _layer_norm(b: Builder, x: Value) -> Value:
    normed = b.graph.add(LayerNorm(1, 1e-5), b.tokens(x), b.row(0.5), b.row())
    return b.graph.add(Linear(), normed, b.weight(6, 6))


def _function(op: Elu | Gelu | Silu | Tanh | HardSwish | Round, b: Builder, x: Value) -> Value:
    return b.conv(b.graph.add(op, x))


def _moves(b: Builder, x: Value) -> Value:
    pooled = b.graph.add(MaxPool((3, 3), ONE, EDGES, ONE), x)
    return b.graph.add(Concat(1), pooled, b.conv(x))


def _largest(b: Builder, x: Value) -> Value:
    wide = b.graph.add(Conv(ONE, NONE, ONE), x, b.weight(512, 6, 1, 1))
    return b.graph.add(ReduceMax((2, 3), False), wide)


FORMS: dict[str, Form] = {
    "conv": lambda b, x: b.conv(x, Activation.RELU),
    "depthwise": _depthwise,
    "linear": _linear,
    "add": partial(_sum, Add()),
    "sub": partial(_sum, Sub()),
    "product": _product,
    "product of pairs": _pairs,
    "global mean": _global_mean,
    "means": _means,
    "batch norm": _norm,
    "transposed": _transposed,
    "attention": _attention,
    "layer norm": _layer_norm,
    "gelu": partial(_function, Gelu()),
    "silu": partial(_function, Silu()),
    "elu": partial(_function, Elu()),
    "round": partial(_function, Round()),
    "tanh": partial(_function, Tanh()),
    "moves": _moves,
    "largest": _largest,
}


def network(name: str) -> Graph:
    """x [batch, 6, 8, 8] → a layer, the form, y in float32."""
    b = Builder(name)
    x = b.graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, *SHAPE)))
    b.graph.set_output("y", FORMS[name](b, b.conv(x)))
    return b.graph


def images(batch: int) -> dict[str, Array]:
    """Some on whole steps, where halves are rounded, and some beyond the codes."""
    random = np.random.default_rng(batch)
    x = random.normal(0, 1, (batch, *SHAPE))
    x[::3] = np.rint(x[::3] * 64) / 64
    x[::5] *= 1e10 if batch > 5 else 3.0
    return {"x": x.astype(np.float32)}
