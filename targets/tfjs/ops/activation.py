"""Activation functions that are one node here; the others are decomposed by a pass."""

from __future__ import annotations

import math
from typing import cast

from ....exporter.graph import Node
from ....exporter.ops import Clamp, Elu, Gelu, LeakyRelu, OpAttrs, Relu, Selu, Sigmoid, Softmax, Tanh
from ....exporter.ops.base import normalize_axis
from ...emit import Refusal
from ..emitters import FLOAT, all_of, emits
from ..writer import Writer

_PLAIN: dict[type[OpAttrs], str] = {
    Relu: "Relu",
    Selu: "Selu",
    Sigmoid: "Sigmoid",
    Tanh: "Tanh",
}


def _alpha_is_one(node: Node) -> Refusal | None:
    """Condition: Elu has alpha 1; others are decomposed."""
    return None if cast(Elu, node.op).alpha == 1.0 else Refusal("the kernel has alpha 1", "use alpha 1", "TP102")


@emits(*_PLAIN, accepts=FLOAT)
def plain(node: Node, writer: Writer) -> None:
    writer.node(_PLAIN[type(node.op)], [writer.tensor(node.inputs[0])], node.output)


@emits(Elu, accepts=all_of(FLOAT, _alpha_is_one))
def elu(node: Node, writer: Writer) -> None:
    writer.node("Elu", [writer.tensor(node.inputs[0])], node.output)


@emits(LeakyRelu, accepts=FLOAT)
def leaky_relu(node: Node, writer: Writer) -> None:
    writer.node("LeakyRelu", [writer.tensor(node.inputs[0])], node.output, alpha=float(cast(LeakyRelu, node.op).slope))


@emits(Clamp, accepts=FLOAT)
def clamp(node: Node, writer: Writer) -> None:
    """Maximum and Minimum with the bound behind: Relu6 and ClipByValue of the wasm backend make numbers of NaN."""
    op, x = cast(Clamp, node.op), writer.tensor(node.inputs[0])
    if op.minimum > -math.inf:
        x = writer.node("Maximum", [x, writer.scalar(op.minimum)], "above")
    if op.maximum < math.inf:
        x = writer.node("Minimum", [x, writer.scalar(op.maximum)], "below")
    writer.bind(node.output, x)


@emits(Gelu, accepts=FLOAT)
def gelu(node: Node, writer: Writer) -> None:
    """x / 2 * (1 + erf(x / sqrt(2))), or with tanh in the place of erf."""
    op, x = cast(Gelu, node.op), writer.tensor(node.inputs[0])
    if op.approximate:
        square = writer.node("Mul", [x, x], "square")
        share = writer.node("Mul", [square, writer.scalar(0.044715 * math.sqrt(2 / math.pi))], "share")
        factor = writer.node("AddV2", [share, writer.scalar(math.sqrt(2 / math.pi))], "factor")
        part = writer.node("Tanh", [writer.node("Mul", [x, factor], "inner")], "tanh")
    else:
        part = writer.node("Erf", [writer.node("Mul", [x, writer.scalar(math.sqrt(0.5))], "inner")], "erf")
    half = writer.node("Mul", [x, writer.scalar(0.5)], "half")
    writer.node("Mul", [half, writer.node("AddV2", [part, writer.scalar(1.0)], "sum")], node.output)


@emits(Softmax, accepts=FLOAT)
def softmax(node: Node, writer: Writer) -> None:
    """The kernel works along the last axis; another one is brought there and back."""
    x, rank = writer.tensor(node.inputs[0]), node.output.type.rank
    axis = normalize_axis(cast(Softmax, node.op).axis, rank)
    if axis == rank - 1:
        writer.node("Softmax", [x], node.output)
        return
    perm = list(range(rank))
    perm[axis], perm[-1] = perm[-1], perm[axis]
    order = writer.int32s(perm, "perm")
    there = writer.node("Softmax", [writer.node("Transpose", [x, order], "swapped")], "softmax")
    writer.node("Transpose", [there, order], node.output)
