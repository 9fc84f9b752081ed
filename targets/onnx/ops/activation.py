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
    Silu,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)
from ...emit import Refusal
from ..emitters import emits
from ..writer import OnnxWriter

_PLAIN: dict[type[OpAttrs], str] = {
    Relu: "Relu",
    Selu: "Selu",
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


@emits(Sigmoid)
def sigmoid(node: Node, writer: OnnxWriter) -> None:
    """ONNX Runtime's Sigmoid is off by 3e-8: nothing to the ops behind it, much to who reads a small probability."""
    if node.output.users:
        writer.node("Sigmoid", node)
    else:
        writer.node("Reciprocal", node, [_one_plus_exp(node, writer)])


def _ends_the_graph(node: Node) -> Refusal | None:
    if not node.output.users:
        return None
    return Refusal("the runtime fuses it when it is written as mul and sigmoid", "write mul and sigmoid")


@emits(Silu, accepts=_ends_the_graph)
def silu(node: Node, writer: OnnxWriter) -> None:
    """x / (1 + exp(-x)), for the same reason as in `sigmoid`."""
    writer.node("Div", node, [node.inputs[0], _one_plus_exp(node, writer)])


def _one_plus_exp(node: Node, writer: OnnxWriter) -> str:
    """1 + exp(-x)"""
    one = writer.constant(node, "one", np.asarray(1.0, node.output.type.dtype.numpy))
    below = writer.node("Neg", node, output=f"{node.name}/negative")
    grown = writer.node("Exp", node, [below], output=f"{node.name}/exp")
    return writer.node("Add", node, [grown, one], output=f"{node.name}/divisor")


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
