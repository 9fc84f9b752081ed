"""Convolutions, channels last. One that looks at single pixels is a matrix product."""

from __future__ import annotations

from ....exporter.graph import Node
from ....exporter.graph.dims import product
from ....exporter.ops import Conv, ConvTranspose, Layout
from ...emit import Refusal
from ..emitters import BOUNDS, constant_weights, emits
from ..pack import (
    LANES,
    PANEL,
    Floats,
    pack_bias,
    pack_depthwise,
    pack_filters,
    pack_panels,
    pack_transposed_filters,
    round_up,
)
from ..plan import Argument
from ..writer import Writer

WINOGRAD_CHANNELS = 32
"""Fewer channels, in or out, than these are convolved as fast directly."""

WINOGRAD_PIXELS = 128
"""Cells of the result below which the transformed filters are read for too few tiles."""


def spatial_axes(node: Node) -> Refusal | None:
    """Condition for the kernels over height and width."""
    op = node.op
    assert isinstance(op, Conv | ConvTranspose)
    if len(op.stride) == 2:
        return None
    return Refusal(
        f"the browser's kernels work over two spatial axes, not {len(op.stride)}",
        "use a 2-D layer, or export to onnx: --to onnx",
        "TP102",
    )


def two_dimensional(node: Node) -> Refusal | None:
    """Condition: two spatial axes, and weights that are packed at export."""
    return spatial_axes(node) or constant_weights(node)


@emits(Conv, accepts=two_dimensional)
def conv(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, Conv) and node.op.layout is Layout.CHANNELS_LAST
    x, weight, *bias = node.inputs
    filters, height, width, _ = weight.type.static_shape()
    pixelwise = (height, width, *node.op.stride, *_sides(node.op)) == (1,) * 4 + (0,) * 4 and node.op.groups == 1
    if pixelwise:
        _pixelwise(node, writer)
    elif node.op.is_depthwise(x.type, weight.type) and filters == node.op.groups:
        _depthwise(node, writer)
    elif winograd_pays(node):
        _winograd(node, writer)
    else:
        packed = pack_filters(weight.array(), node.op.groups)
        shift = pack_bias(bias[0].array() if bias else None, filters, groups=node.op.groups)
        _windowed(node, writer, "conv2d", packed, shift)


@emits(ConvTranspose, accepts=two_dimensional)
def conv_transpose(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, ConvTranspose) and node.op.layout is Layout.CHANNELS_LAST
    weight, *bias = node.inputs[1:]
    filters = weight.type.static_shape()[0]
    packed = pack_transposed_filters(weight.array(), node.op.groups)
    shift = pack_bias(bias[0].array() if bias else None, filters * node.op.groups, groups=node.op.groups)
    _windowed(node, writer, "conv_transpose2d", packed, shift)


def _pixelwise(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, Conv)
    x, weight, *bias = node.inputs
    filters, depth = weight.array().shape[0], weight.array().shape[3]
    writer.call(
        "gemm",
        writer.result(node.output),
        writer.operand(x),
        writer.weights(pack_panels(weight.array().reshape(filters, depth))),
        writer.weights(pack_bias(bias[0].array() if bias else None, filters)),
        product(x.type.shape[:-1]),
        filters,
        depth,
        *BOUNDS[node.op.activation],
    )


def _depthwise(node: Node, writer: Writer) -> None:
    assert isinstance(node.op, Conv)
    op, (x, weight, *bias), y = node.op, node.inputs, node.output
    channels, height, width, _ = weight.type.static_shape()
    shift = pack_bias(bias[0].array() if bias else None, channels, multiple=LANES)
    operands = writer.operand(x), writer.weights(pack_depthwise(weight.array())), writer.weights(shift)
    (top, _), (left, _) = op.padding
    geometry: list[Argument] = [*x.type.shape, *y.type.shape[1:3]]
    geometry += [height, width, *op.stride, *op.dilation, top, left, round_up(channels, LANES)]
    writer.call("depthwise2d", writer.result(y), *operands, geometry, *BOUNDS[op.activation])


def winograd_pays(node: Node) -> bool:
    """3x3 with stride 1 over enough channels, which the transforms cost time for, and enough tiles for the filters."""
    assert isinstance(node.op, Conv)
    op, weight, y = node.op, node.inputs[1], node.output
    filters, *kernel, depth = weight.type.static_shape()
    if (tuple(kernel), op.stride, op.dilation, op.groups) != ((3, 3), (1, 1), (1, 1), 1) or depth % LANES:
        return False
    pixels = product(y.type.shape[1:3])
    return min(depth, filters) >= WINOGRAD_CHANNELS and not (isinstance(pixels, int) and pixels < WINOGRAD_PIXELS)


def _winograd(node: Node, writer: Writer) -> None:
    """What the kernel reads are the filters transformed: 16/9 of their size, so they are made when they are loaded."""
    assert isinstance(node.op, Conv)
    op, (x, weight, *bias), y = node.op, node.inputs, node.output
    filters, depth = weight.type.static_shape()[0], weight.type.static_shape()[3]
    packed = pack_filters(weight.array(), 1)
    panels = packed.shape[0]
    made = writer.made("winograd_filters", panels * 16 * depth * PANEL, writer.weights(packed), panels, depth)
    shift = writer.weights(pack_bias(bias[0].array() if bias else None, filters))
    geometry, block = winograd_geometry(node)
    operand, scratch = writer.operand(x), writer.scratch(block * (16 * depth + 16 * PANEL) + depth + 264)
    writer.call("winograd", writer.result(y), operand, made, shift, geometry, scratch, *BOUNDS[op.activation])


def winograd_geometry(node: Node, zero_points: tuple[int, int] = (0, 0)) -> tuple[list[Argument], int]:
    """The struct Winograd of kernels/winograd.h, and the tiles at a time that it mentions."""
    assert isinstance(node.op, Conv)
    x, y = node.inputs[0].type.shape, node.output.type.shape
    (top, _), (left, _) = node.op.padding
    depth = x[3]
    block = 16 if isinstance(depth, int) and depth <= 64 else 32
    return [*x, *y[1:], top, left, block, *zero_points], block


def _windowed(node: Node, writer: Writer, kernel: str, packed: Floats, shift: Floats) -> None:
    """A call with the struct Conv of kernels/conv.c and a row of zeros that stands for the padding's channels."""
    assert isinstance(node.op, Conv | ConvTranspose)
    op, (x, weight), y = node.op, node.inputs[:2], node.output
    (top, _), (left, _) = op.padding
    geometry: list[Argument] = [*x.type.shape, *y.type.shape[1:], *op.kernel(weight.type)]
    geometry += [*op.stride, *op.dilation, top, left, op.groups]
    operands = writer.operand(x), writer.weights(packed), writer.weights(shift)
    zeros = writer.scratch(x.type.shape[-1] // op.groups)
    writer.call(kernel, writer.result(y), *operands, geometry, zeros, *BOUNDS[op.activation])


def _sides(op: Conv) -> tuple[int, ...]:
    return tuple(side for pair in op.padding for side in pair)
