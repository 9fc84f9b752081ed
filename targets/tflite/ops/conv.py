"""Convolution: CONV_2D, and DEPTHWISE_CONV_2D for one filter bank per channel."""

from __future__ import annotations

from typing import cast

import numpy as np

from ....exporter.graph import Array, Node
from ....exporter.ops import Conv, Layout
from ...emit import Refusal
from ...windows import windows
from ..padding import VALID, pad_in_front, scheme
from ..registry import FLOAT, OTHER_PORTS, all_of, emits
from ..schema import FUSED_ACTIVATIONS, schema
from ..writer import Writer


def constant_weights(node: Node) -> Refusal | None:
    """Condition: the weight, and the bias where there is one, are stored in the model."""
    if all(value.is_constant for value in node.inputs[1:]):
        return None
    return Refusal("the weight is computed while the model runs", f"store it in the model; or {OTHER_PORTS}", "TP102")


def two_spatial_axes(node: Node) -> Refusal | None:
    """Condition: two spatial axes, channels last, as the passes that prepare a graph leave it."""
    op = cast(Conv, node.op)
    if op.layout is not Layout.CHANNELS_LAST:
        raise AssertionError(f"{node.describe()} reached TFLite with its channels first")
    rank = node.inputs[0].type.rank
    if rank == 4:
        return None
    return Refusal(f"there are kernels for two spatial axes, not for {rank - 2}", OTHER_PORTS, "TP103")


@emits(Conv, accepts=all_of(two_spatial_axes, FLOAT, constant_weights))
def conv(node: Node, writer: Writer) -> None:
    weight, depthwise = node.inputs[1], is_depthwise(node)
    filters = writer.constant(depthwise_filters(weight.array()), weight.name) if depthwise else writer.tensor(weight)
    outputs = cast(int, weight.type.shape[0])
    bias = writer.tensor(node.inputs[2]) if len(node.inputs) == 3 else zeros(writer, outputs)
    write_conv(node, writer, filters, bias)


def is_depthwise(node: Node) -> bool:
    """Whether DEPTHWISE_CONV_2D writes the node."""
    return cast(Conv, node.op).is_depthwise(node.inputs[0].type, node.inputs[1].type)


def write_conv(node: Node, writer: Writer, filters: int, bias: int) -> None:
    """The operator of a convolution, with a PAD in front where neither SAME nor VALID pads as it does.

    filters   the tensor of the weight, as `depthwise_filters` has it where the node `is_depthwise`
    """
    op = cast(Conv, node.op)
    x, weight = node.inputs[:2]
    kernel = op.kernel(weight.type)
    extents = tuple(dilation * (size - 1) + 1 for dilation, size in zip(op.dilation, kernel, strict=True))
    along = windows(x.type, extents, op.stride, op.padding)
    padding = scheme(along)
    image = writer.tensor(x) if padding is not None else pad_in_front(writer, node, along)
    shared = {
        "padding": VALID if padding is None else padding,
        "strideH": op.stride[0],
        "strideW": op.stride[1],
        "dilationHFactor": op.dilation[0],
        "dilationWFactor": op.dilation[1],
        "fusedActivationFunction": FUSED_ACTIVATIONS[op.activation],
    }
    inputs, output = [image, filters, bias], writer.tensor(node.output)
    if is_depthwise(node):
        multiplier = cast(int, weight.type.shape[0]) // op.groups
        options = schema.DepthwiseConv2DOptionsT(depthMultiplier=multiplier, **shared)
        writer.operator("DEPTHWISE_CONV_2D", inputs, output, options)
    else:
        writer.operator("CONV_2D", inputs, output, schema.Conv2DOptionsT(**shared))


def depthwise_filters(weight: Array) -> Array:
    """[O, kh, kw, 1] → [1, kh, kw, O]"""
    return np.ascontiguousarray(weight.transpose(3, 1, 2, 0))


def zeros(writer: Writer, channels: int) -> int:
    """A bias of zeros: older runtimes want one."""
    return writer.constant(np.zeros(channels, np.float32), "zeros")
