"""Activation functions that are one operator here; the others are decomposed by a pass."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from ....exporter.graph import Node
from ....exporter.ops import (
    Clamp,
    Elu,
    Gelu,
    HardSwish,
    LeakyRelu,
    LogSoftmax,
    OpAttrs,
    PRelu,
    Relu,
    Sigmoid,
    Softmax,
    Tanh,
)
from ....exporter.ops.base import normalize_axis
from ...emit import Refusal
from ..registry import FLOAT, OTHER_PORTS, all_of, at_most_rank, emits
from ..schema import schema
from ..writer import Writer
from .conv import constant_weights

_CLAMPS = {(0.0, 6.0): "RELU6", (-1.0, 1.0): "RELU_N1_TO_1", (0.0, math.inf): "RELU"}

_ONE_OPERATOR: dict[type[OpAttrs], tuple[str, Callable[[Any], Any]]] = {
    Gelu: ("GELU", lambda op: schema.GeluOptionsT(approximate=op.approximate)),
    HardSwish: ("HARD_SWISH", lambda op: schema.HardSwishOptionsT()),
    LeakyRelu: ("LEAKY_RELU", lambda op: schema.LeakyReluOptionsT(alpha=op.slope)),
    Relu: ("RELU", lambda op: None),
    Sigmoid: ("LOGISTIC", lambda op: None),
    Tanh: ("TANH", lambda op: None),
}


@emits(*_ONE_OPERATOR, accepts=FLOAT)
def one_operator(node: Node, writer: Writer) -> None:
    code, options = _ONE_OPERATOR[type(node.op)]
    writer.operator(code, [writer.tensor(node.inputs[0])], writer.tensor(node.output), options(node.op))


def _has_an_operator(node: Node) -> Refusal | None:
    """Condition: other bounds are decomposed into MAXIMUM and MINIMUM."""
    op = cast(Clamp, node.op)
    if (op.minimum, op.maximum) in _CLAMPS:
        return None
    return Refusal(f"there is no operator for the bounds {op.minimum} and {op.maximum}", OTHER_PORTS, "TP102")


@emits(Clamp, accepts=all_of(FLOAT, _has_an_operator))
def clamp(node: Node, writer: Writer) -> None:
    op = cast(Clamp, node.op)
    writer.operator(_CLAMPS[op.minimum, op.maximum], [writer.tensor(node.inputs[0])], writer.tensor(node.output))


@emits(PRelu, accepts=all_of(FLOAT, constant_weights, at_most_rank(4)))
def prelu(node: Node, writer: Writer) -> None:
    """PRELU, the slope without leading axes of size 1 and with one number for each channel.

    A single slope for all channels is repeated: XNNPACK of 2023 reads as many as there are channels.
    """
    x, slope = node.inputs
    array = slope.array()
    while array.ndim > 1 and array.shape[0] == 1:
        array = array[0]
    channels = x.type.shape[-1] if x.type.rank else None
    if isinstance(channels, int):
        array = np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:-1], channels)))
    writer.operator("PRELU", [writer.tensor(x), writer.constant(array, slope.name)], writer.tensor(node.output))


def _alpha_is_one(node: Node) -> Refusal | None:
    """Condition: ELU has alpha 1; others are decomposed."""
    if cast(Elu, node.op).alpha == 1.0:
        return None
    return Refusal("the kernel has alpha 1", OTHER_PORTS, "TP102")


@emits(Elu, accepts=all_of(FLOAT, _alpha_is_one))
def elu(node: Node, writer: Writer) -> None:
    writer.operator("ELU", [writer.tensor(node.inputs[0])], writer.tensor(node.output))


def _has_cells(node: Node) -> Refusal | None:
    """Condition: the input is not empty."""
    if 0 not in node.inputs[0].type.shape:
        return None
    return Refusal(f"XNNPACK takes no softmax of {node.inputs[0].type}", OTHER_PORTS, "TP103")


@emits(Softmax, LogSoftmax, accepts=all_of(FLOAT, _has_cells))
def softmax(node: Node, writer: Writer) -> None:
    """Both kernels work along the last axis; another one is brought there and back."""
    op = cast(Softmax, node.op)
    x, type = writer.tensor(node.inputs[0]), node.output.type
    axis = normalize_axis(op.axis, type.rank)
    code, options = ("SOFTMAX", schema.SoftmaxOptionsT(beta=1.0))
    if isinstance(node.op, LogSoftmax):
        code, options = ("LOG_SOFTMAX", schema.LogSoftmaxOptionsT())
    if axis == type.rank - 1:
        writer.operator(code, [x], writer.tensor(node.output), options)
        return
    perm = list(range(type.rank))
    perm[axis], perm[-1] = perm[-1], perm[axis]
    swapped = type.with_shape(tuple(type.shape[a] for a in perm))
    order = writer.int32s(perm, "perm")
    there = writer.step("TRANSPOSE", [x, order], node, "swapped", swapped, schema.TransposeOptionsT())
    result = writer.step(code, [there], node, "softmax", swapped, options)
    writer.operator("TRANSPOSE", [result, order], writer.tensor(node.output), schema.TransposeOptionsT())
