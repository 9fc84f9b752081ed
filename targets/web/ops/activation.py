"""Activation functions as elementwise kernels that may write over their operand."""

from __future__ import annotations

import math

from ....exporter.graph import Node
from ....exporter.graph.dims import product
from ....exporter.ops import (
    Clamp,
    Elu,
    Gelu,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    LogSoftmax,
    Mish,
    OpAttrs,
    PRelu,
    Relu,
    Selu,
    Sigmoid,
    Silu,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)
from ....exporter.ops.base import normalize_axis
from ..emitters import emits, floats_only
from ..writer import Writer
from .broadcast import broadcast_table

_PLAIN: dict[type[OpAttrs], str] = {
    HardSigmoid: "hard_sigmoid",
    HardSwish: "hard_swish",
    Mish: "mish",
    Selu: "selu",
    Sigmoid: "sigmoid",
    Silu: "silu",
    Softplus: "softplus",
    Softsign: "softsign",
    Tanh: "tanh",
}


def unary(node: Node, writer: Writer, kernel: str, p: float = 0.0, q: float = 0.0) -> None:
    """One elementwise kernel with its two parameters."""
    x = node.inputs[0]
    operand = writer.operand(x)
    writer.call(kernel, writer.result_over(node.output, x), operand, x.type.elements, p, q)


@emits(*_PLAIN, accepts=floats_only)
def plain(node: Node, writer: Writer) -> None:
    unary(node, writer, _PLAIN[type(node.op)])


@emits(Relu, accepts=floats_only)
def relu(node: Node, writer: Writer) -> None:
    unary(node, writer, "clamp_to", 0.0, math.inf)


@emits(Clamp, accepts=floats_only)
def clamp(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, Clamp)
    unary(node, writer, "clamp_to", node.op.minimum, node.op.maximum)


@emits(LeakyRelu, accepts=floats_only)
def leaky_relu(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, LeakyRelu)
    unary(node, writer, "leaky_relu", node.op.slope)


@emits(Elu, accepts=floats_only)
def elu(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, Elu)
    unary(node, writer, "elu", node.op.alpha)


@emits(Gelu, accepts=floats_only)
def gelu(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, Gelu)
    unary(node, writer, "gelu_tanh" if node.op.approximate else "gelu")


@emits(PRelu, accepts=floats_only)
def prelu(node: Node, writer: Writer) -> None:
    x, slope = node.inputs
    operands = writer.operand(x), writer.operand(slope)
    table = broadcast_table(x.type.shape, slope.type.shape, node.output.type.shape)
    writer.call("prelu", writer.result_over(node.output, x), *operands, table)


@emits(Softmax, LogSoftmax, accepts=floats_only)
def softmax(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, Softmax | LogSoftmax)
    x = node.inputs[0]
    shape, axis = x.type.shape, normalize_axis(node.op.axis, x.type.rank)
    kernel = "softmax" if isinstance(node.op, Softmax) else "log_softmax"
    operand = writer.operand(x)
    outer, inner = product(shape[:axis]), product(shape[axis + 1 :])
    writer.call(kernel, writer.result_over(node.output, x), operand, outer, shape[axis], inner)
