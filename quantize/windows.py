"""Means, maxima, batch norms and transposed convolutions over codes, as the ops on codes that there are."""

from __future__ import annotations

import numpy as np

from ..exporter.graph import Node, Shape, Value
from ..exporter.ops import (
    Activation,
    AveragePool,
    BatchNorm,
    ConvTranspose,
    Layout,
    MaxPool,
    QuantizedConv,
    ReduceMax,
    ReduceMean,
    Reshape,
    Slice,
    Transpose,
)
from ..exporter.ops.conv import weight_perm
from .arithmetic import Reals
from .strict import in_steps, strict_mean
from .weights import Filters
from .writer import Writer


def mean(writer: Writer, node: Node) -> None:
    """A mean over windows is a depthwise convolution with weights of 1 and a scale of 1 / cells."""
    op, x = node.op, writer.codes(node.inputs[0])
    assert isinstance(op, AveragePool | ReduceMean)
    if isinstance(op, AveragePool):
        kernel, stride, padding, dilation, layout = op.kernel, op.stride, op.padding, op.dilation, op.layout
    else:
        x, layout = _spatial(writer, node, x, op.axes)
        kernel = tuple(size for axis in layout.spatial_axes(x.type.rank) if isinstance(size := x.type.shape[axis], int))
        stride = dilation = (1,) * len(kernel)
        padding = ((0, 0),) * len(kernel)
    channels = x.type.shape[layout.channel_axis(x.type.rank)]
    assert isinstance(channels, int)
    of, to = writer.quantization(node.inputs[0]), writer.quantization(node.output)
    shape = (channels, 1, *kernel) if layout is Layout.CHANNELS_FIRST else (channels, *kernel, 1)
    if writer.strict:
        made = in_steps(strict_mean(shape, of.scale, to.scale))
    else:
        share = np.full(channels, 1 / np.prod(kernel), np.float32)
        made = Filters(np.ones(shape, np.int8), share, np.zeros(channels, np.int32))
    inputs = [x, *parameters(writer, node, made)]
    conv = QuantizedConv(stride, padding, dilation, channels, layout, Activation.NONE, of=of, to=to)
    if isinstance(op, AveragePool):
        writer.made_codes[node.output] = writer.node(node, conv, *inputs)
        return
    y = writer.node(node, conv, *inputs, last=False, role="mean")
    writer.made_codes[node.output] = writer.node(node, Reshape(node.output.type.shape), y)


def _spatial(writer: Writer, node: Node, x: Value, axes: tuple[int, ...]) -> tuple[Value, Layout]:
    """x with the axes that a mean goes over where a layout has its spatial axes, moved there if they are elsewhere."""
    rank = x.type.rank
    for layout in (Layout.CHANNELS_FIRST, Layout.CHANNELS_LAST):
        if axes == tuple(layout.spatial_axes(rank)) and isinstance(x.type.shape[layout.channel_axis(rank)], int):
            return x, layout
    batch, channels = (axis for axis in range(rank) if axis not in axes)
    moved = writer.node(node, Transpose((batch, *axes, channels)), x, last=False)
    return moved, Layout.CHANNELS_LAST


def batch_norm(writer: Writer, node: Node) -> None:
    """One weight a channel: a depthwise convolution that looks at single cells."""
    op, x = node.op, node.inputs[0]
    assert isinstance(op, BatchNorm)
    scale, offset, mean, variance = (value.array().astype(np.float64) for value in node.inputs[1:])
    factor = scale / np.sqrt(variance + op.epsilon)
    axes = x.type.rank - 2
    layout = Layout.CHANNELS_FIRST if op.axis == 1 else Layout.CHANNELS_LAST
    of, to = writer.quantization(x), writer.quantization(node.output)
    made = writer.filters_of(factor.reshape(-1, *[1] * (axes + 1)), offset - mean * factor, of, to)
    inputs = [writer.codes(x), *parameters(writer, node, made)]
    once = (1,) * axes
    conv = QuantizedConv(once, ((0, 0),) * axes, once, len(factor), layout, Activation.NONE, of=of, to=to)
    writer.made_codes[node.output] = writer.node(node, conv, *inputs)


def parameters(writer: Writer, node: Node, made: Filters) -> tuple[Value, Value, Value]:
    return (
        writer.constant(made.codes, f"{node.name}.weight"),
        writer.constant(made.scale, f"{node.name}.scale"),
        writer.constant(made.bias, f"{node.name}.bias"),
    )


def largest(writer: Writer, node: Node) -> None:
    """A maximum over axes is a max pool whose window is all of them."""
    op = node.op
    assert isinstance(op, ReduceMax)
    x, layout = _spatial(writer, node, writer.codes(node.inputs[0]), op.axes)
    kernel = tuple(size for axis in layout.spatial_axes(x.type.rank) if isinstance(size := x.type.shape[axis], int))
    once = (1,) * len(kernel)
    y = writer.node(node, MaxPool(kernel, once, ((0, 0),) * len(kernel), once, layout), x, last=False, role="max")
    writer.made_codes[node.output] = writer.node(node, Reshape(node.output.type.shape), y)


def conv_transpose(writer: Writer, node: Node) -> None:
    """All phases of a transposed convolution as the filters of one convolution, then cells put side by side.

    Output cell i*stride + r is the sum over m of x[i - m] * w[r + m*stride]: for each phase r a convolution with
    ceil(kernel / stride) taps, flipped. Taps beyond the kernel are zeros.
    """
    op, x = node.op, writer.codes(node.inputs[0])
    assert isinstance(op, ConvTranspose)
    of, to = writer.quantization(node.inputs[0]), writer.quantization(node.output)
    weight = node.inputs[1].array().transpose(weight_perm(op, Layout.CHANNELS_FIRST)).astype(np.float64)
    phases, taps = _phases(weight, op.stride)
    outputs = weight.shape[1]
    bias = np.zeros(outputs) if len(node.inputs) < 3 else node.inputs[2].array().astype(np.float64)
    first = op.layout is Layout.CHANNELS_FIRST
    parts = int(np.prod(op.stride))
    # [O, phases, I, *taps] with channels first; channels last keeps the channels of a cell together: [phases, O, …]
    ordered = phases if first else phases.swapaxes(0, 1)
    shift = np.repeat(bias, parts) if first else np.tile(bias, parts)
    filters = ordered.reshape(parts * outputs, *phases.shape[2:])
    made = writer.filters_of(filters if first else np.moveaxis(filters, 1, -1), shift, of, to, op.layout)
    once = (1,) * len(taps)
    conv = QuantizedConv(once, tuple((m - 1, m - 1) for m in taps), once, 1, op.layout, op.activation, of=of, to=to)
    y = writer.node(node, conv, x, *parameters(writer, node, made), last=False, role="phases")
    y = _side_by_side(writer, node, y, op.stride, outputs, op.layout)
    writer.made_codes[node.output] = _cropped(writer, node, y, op)


def _phases(weight: Reals, stride: tuple[int, ...]) -> tuple[Reals, tuple[int, ...]]:
    """[I, O, *k] → [O, phases, I, *taps], flipped along each axis."""
    taps = tuple(-(-k // s) for k, s in zip(weight.shape[2:], stride, strict=True))
    ends = [(0, m * s - k) for m, s, k in zip(taps, stride, weight.shape[2:], strict=True)]
    padded = np.pad(weight, [(0, 0), (0, 0), *ends])
    axes = len(stride)
    split = padded.reshape(*weight.shape[:2], *(size for pair in zip(taps, stride, strict=True) for size in pair))
    taps_at, phases_at = [2 + 2 * i for i in range(axes)], [3 + 2 * i for i in range(axes)]
    ordered = split.transpose(1, *phases_at, 0, *taps_at)
    flipped = np.flip(ordered, tuple(range(ordered.ndim - axes, ordered.ndim)))
    return flipped.reshape(weight.shape[1], -1, weight.shape[0], *taps), taps


def _side_by_side(writer: Writer, node: Node, y: Value, stride: tuple[int, ...], outputs: int, layout: Layout) -> Value:
    """Phases from the channels into the spatial axes: [N, O*P, *S] → [N, O, *S*stride]."""
    axes, shape = len(stride), y.type.shape
    sizes = [shape[axis] for axis in layout.spatial_axes(len(shape))]
    spread = tuple(size * step for size, step in zip(sizes, stride, strict=True))
    if layout is Layout.CHANNELS_FIRST:
        split: Shape = (shape[0], outputs, *stride, *sizes)
        perm = (0, 1, *(place for i in range(axes) for place in (2 + axes + i, 2 + i)))
        together: Shape = (shape[0], outputs, *spread)
    else:
        split = (shape[0], *sizes, *stride, outputs)
        perm = (0, *(place for i in range(axes) for place in (1 + i, 1 + axes + i)), 1 + 2 * axes)
        together = (shape[0], *spread, outputs)
    y = writer.node(node, Reshape(split), y, last=False, role="split")
    y = writer.node(node, Transpose(perm), y, last=False, role="side_by_side")
    return writer.node(node, Reshape(together), y, last=False, role="together")


def _cropped(writer: Writer, node: Node, y: Value, op: ConvTranspose) -> Value:
    axes = tuple(op.layout.spatial_axes(y.type.rank))
    starts = tuple(before for before, _ in op.padding)
    stops = tuple(node.output.type.shape[axis] + start for axis, start in zip(axes, starts, strict=True))
    return writer.node(node, Slice(axes, starts, stops, (1,) * len(axes)), y)
