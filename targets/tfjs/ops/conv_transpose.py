"""Transposed convolution: one ordinary convolution for the phases (targets/phases.py), which are then interleaved.

Conv2DBackpropInput would say it in one node. The wasm backend has only a plain loop for it, which in a U-Net takes as
long as all other layers together take there.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from ....exporter.graph import Dim, Node, TensorType
from ....exporter.ops import ConvTranspose
from ...phases import Axis, axes_of, window
from ..coded import filters_of, finished
from ..emitters import FLOAT, all_of, emits
from ..sizes import reshape_tensor
from ..writer import Writer
from .conv import beside, constant_weights, split, two_spatial_axes, write_conv
from .shape import write_slice


@emits(ConvTranspose, accepts=all_of(two_spatial_axes, FLOAT, constant_weights))
def conv_transpose(node: Node, writer: Writer) -> None:
    """Group by group: the phases of each stand side by side in the channels of its convolution."""
    op, given, axes = cast(ConvTranspose, node.op), filters_of(node, writer), axes_of(node)
    windows = [
        window(given.weight, axes, row, column) for row in range(op.stride[0]) for column in range(op.stride[1])
    ]  # [O/groups, h, w, I] each
    outputs = windows[0].shape[0]
    offsets = np.zeros(outputs * op.groups, np.float32) if given.bias is None else given.bias
    filters = np.split(np.concatenate(windows), op.groups, axis=3)
    image = _cropped(node, writer, axes)
    results = []
    for part, bank, some in zip(split(writer, image, op.groups), filters, np.split(offsets, op.groups), strict=True):
        operands = [
            part,
            writer.constant(bank.transpose(1, 2, 3, 0), f"{node.inputs[1].name}/phases"),
            writer.constant(np.tile(some, len(windows)), f"{node.inputs[1].name}/bias"),
        ]
        (above, below), (left, right) = (axis.padding for axis in axes)
        padding = ((max(above, 0), max(below, 0)), (max(left, 0), max(right, 0)))
        phases = write_conv(writer, "_FusedConv2D", operands, given.inside, padding)
        results.append(_interleaved(node, writer, axes, phases, outputs))
    writer.bind(node.output, finished(writer, beside(writer, results), given))


def _cropped(node: Node, writer: Writer, axes: tuple[Axis, Axis]) -> str:
    """The input without the cells that no phase reads."""
    x = node.inputs[0]
    batch, height, width, channels = x.type.shape
    before = [max(-axis.padding[0], 0) for axis in axes]
    after = [max(-axis.padding[1], 0) for axis in axes]
    stops = [batch, height - after[0], width - after[1], channels]
    return write_slice(writer, writer.tensor(x), x.type, [0, *before, 0], stops, [1] * 4)


def _interleaved(node: Node, writer: Writer, axes: tuple[Axis, Axis], phases: str, outputs: int) -> str:
    """[N, rows, columns, phases * O] as the result, cropped to what is kept."""
    tall, wide = cast(ConvTranspose, node.op).stride
    batch, height, width, _ = node.output.type.shape
    rows, columns = (axis.count for axis in axes)
    if tall > 1:
        apart: list[Dim] = [batch * rows, columns, tall, wide * outputs]
        split_up = writer.node("Reshape", [phases, reshape_tensor(writer, apart)], "apart")
        phases = writer.node("Transpose", [split_up, writer.int32s([0, 2, 1, 3], "perm")], "turned")
    whole = TensorType(node.output.type.dtype, (batch, rows * tall, columns * wide, outputs))
    if tall > 1 or wide > 1:
        phases = writer.node("Reshape", [phases, reshape_tensor(writer, whole.shape)], "interleaved")
    starts = [0, axes[0].crop, axes[1].crop, 0]
    stops = [batch, axes[0].crop + height, axes[1].crop + width, outputs]
    return write_slice(writer, phases, whole, starts, stops, [1] * 4)
