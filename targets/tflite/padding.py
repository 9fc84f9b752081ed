"""Explicit padding in a format that knows only SAME and VALID.

TFLite computes its padding from the sizes: VALID none; SAME as much as gives ``ceil(size / stride)`` windows, the
smaller half in front. Where neither is exactly what the graph asks for, a PAD operator goes in front and VALID is used.
"""

from __future__ import annotations

import numpy as np

from ...exporter.graph import Node, TensorType, Value
from ...exporter.ops import Clamp, HardSigmoid, MaxPool, Relu, Sigmoid, Softmax
from ...exporter.ops.base import Activation
from ..windows import Window
from .schema import schema
from .writer import Writer, tensor_quantization

SAME: int = schema.Padding.SAME
VALID: int = schema.Padding.VALID


def scheme(along: tuple[Window, ...]) -> int | None:
    """VALID or SAME where one of them fits all axes exactly, else None."""
    if all(window.is_valid() for window in along):
        return VALID
    return SAME if all(window.is_same() for window in along) else None


def pad_in_front(writer: Writer, node: Node, along: tuple[Window, ...], fill: float | None = None) -> int:
    """`pad` of the node's first operand as its windows need it; returns the padded tensor."""
    x = node.inputs[0]
    amounts = [(0, 0), *((window.before, window.needed_after()) for window in along), (0, 0)]
    shape = tuple(size + sum(amount) for size, amount in zip(x.type.shape, amounts, strict=True))
    return pad(writer, node, writer.tensor(x), x.type.with_shape(shape), amounts, fill)


def pad(
    writer: Writer,
    node: Node,
    tensor: int,
    padded: TensorType,
    amounts: list[tuple[int, int]],
    fill: float | None = None,
) -> int:
    """The tensor with cells of ``fill`` before and after each axis: PADV2, which XNNPACK does not take.

    fill   a number, or a code of a quantized tensor; None for what PAD fills with: 0, or the zero point
    """
    paddings = writer.constant(np.array(amounts, np.int32), "paddings")
    if fill is None:
        return writer.step("PAD", [tensor, paddings], node, "pad", padded, schema.PadOptionsT())
    cell = np.array(fill, padded.dtype.numpy)
    inputs = [tensor, paddings, writer.constant(cell, "fill", tensor_quantization(padded.quantization))]
    return writer.step("PADV2", inputs, node, "pad", padded, schema.PadV2OptionsT())


def is_never_negative(value: Value) -> bool:
    """Whether the op that made the value rules out negative cells, so that a zero never wins a maximum over them."""
    node = value.producer
    if node is None:
        return False
    op = node.op
    if isinstance(op, (Relu, Sigmoid, HardSigmoid, Softmax)) or (isinstance(op, Clamp) and op.minimum >= 0):
        return True
    if isinstance(op, MaxPool):
        return is_never_negative(node.inputs[0])
    return getattr(op, "activation", Activation.NONE) is not Activation.NONE
