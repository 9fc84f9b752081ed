"""Transposed convolution, spelled as ordinary convolutions whose results are interleaved.

TRANSPOSE_CONV takes its output's shape as a tensor, batch included, so a free batch would make every size behind it
unknown until the model runs, and XNNPACK would leave the operator alone. So the result is taken apart by phases
(targets/phases.py).

The phases of one convolution stand side by side in its channels; DEPTH_TO_SPACE interleaves them.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from ....exporter.graph import Dim, Node, TensorType
from ....exporter.ops import ConvTranspose
from ...phases import Axis, FloatArray, axes_of, window
from ..padding import VALID, pad
from ..registry import FLOAT, all_of, emits
from ..schema import FUSED_ACTIVATIONS, schema
from ..writer import Writer
from .conv import constant_weights, depthwise_filters, two_spatial_axes, zeros
from .shape import write_reshape, write_slice


@emits(ConvTranspose, accepts=all_of(two_spatial_axes, FLOAT, constant_weights))
def conv_transpose(node: Node, writer: Writer) -> None:
    op, (x, weight) = cast(ConvTranspose, node.op), node.inputs[:2]
    kernel = op.kernel(weight.type)
    height, width = axes_of(node)
    channels = cast(int, node.output.type.shape[3])
    image = _framed(node, writer, (height, width))
    cells = x.type.with_shape((x.type.shape[0], height.count, width.count, channels))
    if op.groups == 1 and height.adds_no_zeros(kernel[0]) and width.adds_no_zeros(kernel[1]):
        phases = _one_convolution(node, writer, (height, width), image, cells)
    else:
        phases = _convolution_each(node, writer, (height, width), image, cells)
    if op.stride != (1, 1):
        _interleave(node, writer, (height, width), phases, cells)


def _framed(node: Node, writer: Writer, axes: tuple[Axis, Axis]) -> int:
    """The input padded (or cropped) so that every phase is a VALID convolution."""
    x = node.inputs[0]
    image, type = writer.tensor(x), x.type
    crops = [(max(-before, 0), max(-after, 0)) for before, after in (axis.padding for axis in axes)]
    if any(any(crop) for crop in crops):
        starts = [0, crops[0][0], crops[1][0], 0]
        stops: list[Dim] = [type.shape[0], type.shape[1] - crops[0][1], type.shape[2] - crops[1][1], type.shape[3]]
        type_after = type.with_shape(tuple(stop - start for start, stop in zip(starts, stops, strict=True)))
        cropped = writer.temporary(node, "cropped", type_after)
        write_slice(writer, node, image, type, (starts, stops, [1] * 4), cropped)
        image, type = cropped, type_after
    pads = [(max(before, 0), max(after, 0)) for before, after in (axis.padding for axis in axes)]
    if any(any(amount) for amount in pads):
        amounts = [(0, 0), *pads, (0, 0)]
        type = type.with_shape(tuple(size + sum(amount) for size, amount in zip(type.shape, amounts, strict=True)))
        image = pad(writer, node, image, type, amounts)
    return image


def _one_convolution(node: Node, writer: Writer, axes: tuple[Axis, Axis], image: int, cells: TensorType) -> int:
    """All phases as the channels of one CONV_2D: [N, rows, columns, phases * O]"""
    height, width = axes
    pairs = [(row, column) for row in range(len(height.taps)) for column in range(len(width.taps))]
    filters = np.concatenate([window(node.inputs[1].array(), axes, *pair) for pair in pairs])
    bias = zeros(writer, len(filters))
    if len(node.inputs) == 3:
        bias = writer.constant(np.tile(node.inputs[2].array(), len(pairs)), f"{node.inputs[2].name}/phases")
    weight = writer.constant(filters, f"{node.inputs[1].name}/phases")
    output = _phase_tensor(node, writer, "phases", cells.with_shape((*cells.shape[:3], len(filters))))
    return writer.operator("CONV_2D", [image, weight, bias], output, _convolution_options(node))


def _phase_tensor(node: Node, writer: Writer, role: str, type: TensorType) -> int:
    """Where a phase goes: without strides the only one is the result itself."""
    if cast(ConvTranspose, node.op).stride == (1, 1):
        return writer.tensor(node.output)
    return writer.temporary(node, role, type)


def _convolution_each(node: Node, writer: Writer, axes: tuple[Axis, Axis], image: int, cells: TensorType) -> int:
    """A convolution for every phase, with its own taps only; their results concatenated."""
    op = cast(ConvTranspose, node.op)
    bias = writer.tensor(node.inputs[2]) if len(node.inputs) == 3 else zeros(writer, cast(int, cells.shape[3]))
    results = []
    for row in range(op.stride[0]):
        for column in range(op.stride[1]):
            filters, view = _tight(window(node.inputs[1].array(), axes, row, column), axes, row, column)
            weight = _grouped(filters, op.groups)
            part = _cut(node, writer, image, axes, view, cells)
            role = f"phase {row}, {column}"
            name = f"{node.inputs[1].name}/{role}"
            if weight.shape[3] == 1 and op.groups > 1:
                options = _convolution_options(node, depth_multiplier=len(weight) // op.groups)
                code, stored = "DEPTHWISE_CONV_2D", depthwise_filters(weight)
            else:
                code, stored, options = "CONV_2D", weight, _convolution_options(node)
            operands = [part, writer.constant(stored, name), bias]
            results.append(writer.operator(code, operands, _phase_tensor(node, writer, role, cells), options))
    if len(results) == 1:
        return results[0]
    type = cells.with_shape((*cells.shape[:3], cast(int, cells.shape[3]) * len(results)))
    return writer.step("CONCATENATION", results, node, "phases", type, schema.ConcatenationOptionsT(axis=3))


View = tuple[tuple[int, int], tuple[int, int]]
"""(first cell, extent) of what one phase reads of the framed input, along both axes."""


def _tight(filters: FloatArray, axes: tuple[Axis, Axis], row: int, column: int) -> tuple[FloatArray, View]:
    """The filters without the zeros around the phase's own taps."""
    view = []
    for axis, phase in zip(axes, (row, column), strict=True):
        offsets = [offset - axis.first for offset, _ in axis.taps[phase]] or [0]
        view.append((min(offsets), max(offsets) - min(offsets) + 1))
    (top, tall), (left, wide) = view
    return filters[:, top : top + tall, left : left + wide], (view[0], view[1])


def _grouped(filters: FloatArray, groups: int) -> FloatArray:
    """[O/groups, h, w, I] of a transposed convolution → [O, h, w, I/groups] of a convolution"""
    outputs, tall, wide, inputs = filters.shape
    parts = filters.reshape(outputs, tall, wide, groups, inputs // groups).transpose(3, 0, 1, 2, 4)
    return np.ascontiguousarray(parts.reshape(groups * outputs, tall, wide, inputs // groups))


def _cut(node: Node, writer: Writer, image: int, axes: tuple[Axis, Axis], view: View, cells: TensorType) -> int:
    """What a phase reads of the framed input."""
    x = node.inputs[0].type
    framed = x.with_shape((x.shape[0], *(axis.count + axis.extent - 1 for axis in axes), x.shape[3]))
    starts = [0, view[0][0], view[1][0], 0]
    sizes = [axis.count + extent - 1 for axis, (_, extent) in zip(axes, view, strict=True)]
    part = framed.with_shape((x.shape[0], *sizes, x.shape[3]))
    if part.shape == framed.shape:
        return image
    stops = [start + size for start, size in zip(starts, part.shape, strict=True)]
    cut = writer.temporary(node, "part", part)
    write_slice(writer, node, image, framed, (starts, stops, [1] * 4), cut)
    return cut


def _convolution_options(node: Node, depth_multiplier: int = 0) -> object:
    op = cast(ConvTranspose, node.op)
    shared = {
        "padding": VALID,
        "strideH": 1,
        "strideW": 1,
        "fusedActivationFunction": FUSED_ACTIVATIONS[op.activation],
    }
    made: object = (
        schema.DepthwiseConv2DOptionsT(depthMultiplier=depth_multiplier, **shared)
        if depth_multiplier
        else schema.Conv2DOptionsT(**shared)
    )
    return made


def _interleave(node: Node, writer: Writer, axes: tuple[Axis, Axis], phases: int, cells: TensorType) -> None:
    """[N, rows, columns, phases * O] → the result, cropped to what is kept."""
    op, output = cast(ConvTranspose, node.op), node.output.type
    tall, wide = op.stride
    batch, rows, columns, channels = cells.shape
    whole = cells.with_shape((batch, rows * tall, columns * wide, channels))
    starts = [0, axes[0].crop, axes[1].crop, 0]
    crops = whole.shape != output.shape
    to = writer.temporary(node, "interleaved", whole) if crops else writer.tensor(node.output)
    if tall == wide and tall > 1:
        writer.operator("DEPTH_TO_SPACE", [phases], to, schema.DepthToSpaceOptionsT(blockSize=tall))
    elif tall == 1:
        # Along the width alone, phases lie in memory where they belong.
        write_reshape(writer, node, phases, whole.shape, to)
    else:
        apart = cells.with_shape((batch * rows, columns, tall, wide * cast(int, channels)))
        split = writer.temporary(node, "apart", apart)
        write_reshape(writer, node, phases, apart.shape, split)
        swapped = apart.with_shape((apart.shape[0], tall, columns, apart.shape[3]))
        perm = writer.int32s((0, 2, 1, 3), "perm")
        turned = writer.step("TRANSPOSE", [split, perm], node, "turned", swapped, schema.TransposeOptionsT())
        write_reshape(writer, node, turned, whole.shape, to)
    if crops:
        stops = [start + size for start, size in zip(starts, output.shape, strict=True)]
        write_slice(writer, node, to, whole, (starts, stops, [1] * 4), writer.tensor(node.output))
