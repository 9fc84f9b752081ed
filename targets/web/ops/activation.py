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


def function(op: OpAttrs) -> tuple[str, float, float] | None:
    """The kernel that computes an activation, and its two parameters; None for ops that look at more than a cell."""
    match op:
        case Relu():
            return "clamp_to", 0.0, math.inf
        case Clamp():
            return "clamp_to", op.minimum, op.maximum
        case LeakyRelu():
            return "leaky_relu", op.slope, 0.0
        case Elu():
            return "elu", op.alpha, 0.0
        case Gelu():
            return "gelu_tanh" if op.approximate else "gelu", 0.0, 0.0
    return (_PLAIN[type(op)], 0.0, 0.0) if type(op) in _PLAIN else None


@emits(*_PLAIN, Relu, Clamp, LeakyRelu, Elu, Gelu, accepts=floats_only)
def plain(node: Node, writer: Writer) -> None:
    found = function(node.op)
    assert found is not None
    unary(node, writer, *found)


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
