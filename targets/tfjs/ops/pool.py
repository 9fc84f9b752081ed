"""Pooling: MaxPool and AvgPool, which know SAME and VALID; other padding stands in front."""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from ....exporter.graph import Dim, Node
from ....exporter.ops import AveragePool, MaxPool
from ...emit import Refusal
from ...windows import Window, may_be_nan, share_of_padding, windows
from ..emitters import FLOAT, all_of, emits
from ..sizes import shape_tensor
from ..writer import Writer
from .conv import two_spatial_axes
from .shape import write_slice


def _dense(node: Node) -> Refusal | None:
    """Condition: no dilation."""
    dilation = cast(MaxPool, node.op).dilation
    if all(step == 1 for step in dilation):
        return None
    return Refusal(f"a graph model cannot state pooling with dilation {dilation}", "pool without dilation", "TP103")


def _numbers_alone(node: Node) -> Refusal | None:
    """Condition: the op in front does not make NaN of ordinary numbers."""
    if not may_be_nan(node.inputs[0]):
        return None
    return Refusal("XNNPACK's mean over a window that holds NaN is infinite", "clamp at 0 before the power", "TP103")


def _along(node: Node) -> tuple[Window, ...]:
    op = cast(MaxPool, node.op)
    return windows(node.inputs[0].type, op.kernel, op.stride, op.padding)


def _scheme(along: tuple[Window, ...]) -> str | None:
    """VALID or SAME where one of them fits both axes exactly."""
    if all(window.is_valid() for window in along):
        return "VALID"
    return "SAME" if all(window.is_same() for window in along) else None


@emits(MaxPool, accepts=all_of(two_spatial_axes, FLOAT, _dense))
def max_pool(node: Node, writer: Writer) -> None:
    op, along, x = cast(MaxPool, node.op), _along(node), writer.tensor(node.inputs[0])
    scheme = _scheme(along)
    if set(op.kernel) == {1}:
        writer.bind(node.output, _every_cell(node, writer, _padded(writer, x, along, -math.inf), along))
        return
    if scheme is None:
        x = _padded(writer, x, along, -math.inf)
    writer.bind(node.output, _pool(writer, "MaxPool", x, op, scheme or "VALID"))


@emits(AveragePool, accepts=all_of(two_spatial_axes, FLOAT, _dense, _numbers_alone))
def average_pool(node: Node, writer: Writer) -> None:
    """SAME leaves padding out of the mean; zeros in front are counted."""
    op, along, x = cast(AveragePool, node.op), _along(node), writer.tensor(node.inputs[0])
    scheme, padded = _scheme(along), any(any(sides) for sides in op.padding)
    if set(op.kernel) == {1} and not padded:
        writer.bind(node.output, _every_cell(node, writer, x, along))
        return
    if scheme is not None and not (op.count_include_pad and padded):
        writer.bind(node.output, _pool(writer, "AvgPool", x, op, scheme))
        return
    means = _pool(writer, "AvgPool", _padded(writer, x, along, 0.0), op, "VALID")
    if op.count_include_pad:
        writer.bind(node.output, means)
    elif all(isinstance(window.size, int) for window in along):
        factors = writer.constant(share_of_padding(along), f"{writer.at}/window_over_cells")
        writer.node("Mul", [means, factors], node.output)
    else:
        shape = shape_tensor(writer, (1, *(window.size for window in along), 1), "image")
        ones = writer.node("Fill", [shape, writer.scalar(1.0)], "ones", T=node.inputs[0].type.dtype)
        share = _pool(writer, "AvgPool", _padded(writer, ones, along, 0.0), op, "VALID")
        writer.node("RealDiv", [means, share], node.output)


def _padded(writer: Writer, x: str, along: tuple[Window, ...], fill: float) -> str:
    """x with as many cells around as its windows reach."""
    sides = [(0, 0), *((window.before, window.needed_after()) for window in along), (0, 0)]
    if not any(any(pair) for pair in sides):
        return x
    amounts = writer.constant(np.array(sides, np.int32), f"{writer.at}/paddings")
    return writer.node("PadV2", [x, amounts, writer.scalar(fill)], "padded")


def _pool(writer: Writer, kind: str, x: str, op: MaxPool | AveragePool, scheme: str) -> str:
    return writer.node(
        kind, [x], "pool", ksize=(1, *op.kernel, 1), strides=(1, *op.stride, 1), padding=scheme, data_format="NHWC"
    )


def _every_cell(node: Node, writer: Writer, x: str, along: tuple[Window, ...]) -> str:
    """Windows of one cell, which the wasm backend's kernel does not take: a slice with steps."""
    type = node.inputs[0].type
    height, width = (window.size + window.before + window.needed_after() for window in along)
    shape: tuple[Dim, ...] = (type.shape[0], height, width, type.shape[3])
    steps = [1, *(window.stride for window in along), 1]
    return write_slice(writer, x, type.with_shape(shape), [0] * 4, shape, steps)
