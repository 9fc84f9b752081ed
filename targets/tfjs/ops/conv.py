"""Convolution: _FusedConv2D, and FusedDepthwiseConv2dNative for one filter bank a channel.

The kernels take a stride or a dilation, and one group or one filter bank a channel. A dilated filter with a stride is
written with zeros between its taps; other groups are convolutions side by side.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from ....exporter.graph import Array, Node
from ....exporter.ops import Activation, Conv, Layout
from ....exporter.ops.conv import Padding
from ...emit import Refusal
from ..coded import filters_of, finished
from ..emitters import FLOAT, FUSED, all_of, emits
from ..writer import Writer


def constant_weights(node: Node) -> Refusal | None:
    """Condition: the weight, and the bias where there is one, are stored in the model."""
    if all(value.is_constant for value in node.inputs[1:]):
        return None
    return Refusal(
        "the weight is computed while the model runs, and it is rearranged when the file is written",
        "store it in the model",
        "TP102",
    )


def two_spatial_axes(node: Node) -> Refusal | None:
    """Condition: two spatial axes, channels last, as the passes that prepare a graph leave it."""
    if cast(Conv, node.op).layout is not Layout.CHANNELS_LAST:
        raise AssertionError(f"{node.describe()} reached TensorFlow.js with its channels first")
    rank = node.inputs[0].type.rank
    if rank == 4:
        return None
    return Refusal(f"there are kernels for two spatial axes, not for {rank - 2}", "replace the layer", "TP103")


@emits(Conv, accepts=all_of(two_spatial_axes, FLOAT, constant_weights))
def conv(node: Node, writer: Writer) -> None:
    op, (x, weight) = cast(Conv, node.op), node.inputs[:2]
    given = filters_of(node, writer)
    filters, dilation = given.weight, op.dilation
    if max(op.stride) > 1 and max(dilation) > 1:
        filters, dilation = spread(filters, dilation), (1, 1)
    image = writer.tensor(x)
    offsets = np.zeros(len(filters), np.float32) if given.bias is None else given.bias
    depthwise = op.is_depthwise(x.type, weight.type)
    if depthwise:
        _, height, width, _ = filters.shape
        banks = [np.ascontiguousarray(filters.transpose(1, 2, 3, 0)).reshape(height, width, op.groups, -1)]
    else:
        banks = [part.transpose(1, 2, 3, 0) for part in np.split(filters, op.groups)]
    parts = split(writer, image, len(banks))
    kind = "FusedDepthwiseConv2dNative" if depthwise else "_FusedConv2D"
    results = [
        write_conv(
            writer,
            kind,
            [part, writer.constant(bank, weight.name), writer.constant(some, f"{weight.name}/bias")],
            given.inside,
            op.padding,
            op.stride,
            dilation,
        )
        for part, bank, some in zip(parts, banks, np.split(offsets, len(banks)), strict=True)
    ]
    writer.bind(node.output, finished(writer, beside(writer, results), given))


def write_conv(
    writer: Writer,
    kind: str,
    operands: list[str],
    activation: Activation,
    padding: Padding,
    stride: tuple[int, ...] = (1, 1),
    dilation: tuple[int, ...] = (1, 1),
) -> str:
    """One convolution of image, filters and bias. A fused activation stands behind a bias, so there always is one."""
    return writer.node(
        kind,
        operands,
        "conv",
        num_args=1,
        fused_ops=["BiasAdd"] if activation is Activation.NONE else ["BiasAdd", FUSED[activation]],
        strides=(1, *stride, 1),
        dilations=(1, *dilation, 1),
        padding="EXPLICIT",
        explicit_paddings=(0, 0, *(side for sides in padding for side in sides), 0, 0),
        data_format="NHWC",
    )


def spread(filters: Array, dilation: tuple[int, ...]) -> Array:
    """[O, kh, kw, I] with zeros between the taps."""
    outputs, height, width, inputs = filters.shape
    down, across = dilation
    wide = np.zeros((outputs, (height - 1) * down + 1, (width - 1) * across + 1, inputs), filters.dtype)
    wide[:, ::down, ::across] = filters
    return wide


def split(writer: Writer, image: str, groups: int) -> list[str]:
    """The channels in equal parts."""
    if groups == 1:
        return [image]
    first = writer.node("Split", [writer.int32(3, "axis"), image], "groups", num_split=groups)
    return [first, *(f"{first}:{i}" for i in range(1, groups))]


def beside(writer: Writer, images: list[str]) -> str:
    """Images with their channels one after the other."""
    if len(images) == 1:
        return images[0]
    return writer.node("ConcatV2", [*images, writer.int32(3, "axis")], "together", N=len(images))
