"""Activation functions."""

from __future__ import annotations

import math

import numpy as np

from ....exporter.graph import Node
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
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)
from ..emitters import emits
from ..writer import OnnxWriter

_PLAIN: dict[type[OpAttrs], str] = {
    Relu: "Relu",
    Selu: "Selu",
    Sigmoid: "Sigmoid",
    HardSwish: "HardSwish",
    Tanh: "Tanh",
    Softplus: "Softplus",
    Softsign: "Softsign",
    Mish: "Mish",
    PRelu: "PRelu",
}


@emits(*_PLAIN)
def plain(node: Node, writer: OnnxWriter) -> None:
    writer.node(_PLAIN[type(node.op)], node)


@emits(Clamp)
def clamp(node: Node, writer: OnnxWriter) -> None:
    op = node.op
    assert isinstance(op, Clamp)
    dtype = node.output.type.dtype.numpy
    low = "" if op.minimum == -math.inf else writer.constant(node, "min", np.asarray(op.minimum, dtype))
    high = "" if op.maximum == math.inf else writer.constant(node, "max", np.asarray(op.maximum, dtype))
    writer.node("Clip", node, [node.inputs[0], low, high])


@emits(HardSigmoid)
def hard_sigmoid(node: Node, writer: OnnxWriter) -> None:
    writer.node("HardSigmoid", node, alpha=1 / 6, beta=0.5)


@emits(LeakyRelu)
def leaky_relu(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, LeakyRelu)
    writer.node("LeakyRelu", node, alpha=node.op.slope)


@emits(Elu)
def elu(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, Elu)
    writer.node("Elu", node, alpha=node.op.alpha)


@emits(Gelu)
def gelu(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, Gelu)
    writer.node("Gelu", node, approximate="tanh" if node.op.approximate else "none")


@emits(Softmax)
def softmax(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, Softmax)
    writer.node("Softmax", node, axis=node.op.axis)


@emits(LogSoftmax)
def log_softmax(node: Node, writer: OnnxWriter) -> None:
    assert isinstance(node.op, LogSoftmax)
    writer.node("LogSoftmax", node, axis=node.op.axis)
