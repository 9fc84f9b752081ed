"""Pooling: MAX_POOL_2D and AVERAGE_POOL_2D, with padding that TFLite's two schemes do not express put in front."""

from __future__ import annotations

import math
from typing import cast

from ....exporter.graph import DType, Node, TensorType, Value
from ....exporter.ops import AveragePool, MaxPool
from ....exporter.ops.quantized import LOWEST
from ...emit import Refusal
from ...windows import Window, may_be_nan, share_of_padding, windows
from ..padding import VALID, is_never_negative, pad, pad_in_front, scheme
from ..registry import FLOAT, OTHER_PORTS, all_of, emits
from ..schema import schema
from ..sizes import shape_tensor
from ..writer import Writer
from .conv import two_spatial_axes


def _dense(node: Node) -> Refusal | None:
    """Condition: no dilation."""
    op = cast(MaxPool, node.op)
    if all(step == 1 for step in op.dilation):
        return None
    return Refusal(f"there is no kernel for pooling with dilation {op.dilation}", OTHER_PORTS, "TP103")


def _along(node: Node) -> tuple[Window, ...]:
    op = cast(MaxPool, node.op)
    return windows(node.inputs[0].type, op.kernel, op.stride, op.padding)


def _options(op: MaxPool | AveragePool, padding: int) -> object:
    options: object = schema.Pool2DOptionsT(
        padding=padding,
        strideH=op.stride[0],
        strideW=op.stride[1],
        filterHeight=op.kernel[0],
        filterWidth=op.kernel[1],
    )
    return options


def _numbers_or_codes(node: Node) -> Refusal | None:
    """Condition: float32, or codes of real numbers."""
    return FLOAT(node) if node.inputs[0].quantization is None else None


def _least(x: Value) -> float | None:
    """What never wins over a cell of x; None where zero does not, the only one that XNNPACK pads with."""
    codes = x.quantization
    if is_never_negative(x) or (codes is not None and codes.zero_point == LOWEST):
        return None
    return -math.inf if codes is None else LOWEST


@emits(MaxPool, accepts=all_of(two_spatial_axes, _numbers_or_codes, _dense))
def max_pool(node: Node, writer: Writer) -> None:
    op, along = cast(MaxPool, node.op), _along(node)
    padding = scheme(along)
    x = writer.tensor(node.inputs[0])
    if padding is None:
        x = pad_in_front(writer, node, along, _least(node.inputs[0]))
    options = _options(op, VALID if padding is None else padding)
    writer.operator("MAX_POOL_2D", [x], writer.tensor(node.output), options)


def _has_cells(node: Node) -> Refusal | None:
    """Condition: the input is not empty."""
    if 0 not in node.inputs[0].type.shape:
        return None
    return Refusal(f"XNNPACK makes up the shape of the mean of {node.inputs[0].type}", OTHER_PORTS, "TP103")


def _numbers_alone(node: Node) -> Refusal | None:
    """Condition: the op in front does not make NaN of ordinary numbers."""
    if not may_be_nan(node.inputs[0]):
        return None
    return Refusal("XNNPACK's mean over a window that holds NaN is infinite", OTHER_PORTS, "TP103")


@emits(AveragePool, accepts=all_of(two_spatial_axes, FLOAT, _dense, _has_cells, _numbers_alone))
def average_pool(node: Node, writer: Writer) -> None:
    """TFLite's SAME leaves padding out of the mean; a PAD in front counts it."""
    op, along = cast(AveragePool, node.op), _along(node)
    padded = any(before or after for before, after in op.padding)
    padding = scheme(along)
    if padding == VALID or (padding is not None and not (op.count_include_pad and padded)):
        x = writer.tensor(node.inputs[0])
        writer.operator("AVERAGE_POOL_2D", [x], writer.tensor(node.output), _options(op, padding))
        return
    x, output = pad_in_front(writer, node, along), writer.tensor(node.output)
    if op.count_include_pad:
        writer.operator("AVERAGE_POOL_2D", [x], output, _options(op, VALID))
        return
    means = writer.step("AVERAGE_POOL_2D", [x], node, "means with padding", node.output.type, _options(op, VALID))
    if all(isinstance(window.size, int) for window in along):
        factors = writer.constant(share_of_padding(along), "window over cells")
        writer.operator("MUL", [means, factors], output, schema.MulOptionsT())
    else:
        writer.operator("DIV", [means, _share_of_cells(node, writer, along)], output, schema.DivOptionsT())


def _share_of_cells(node: Node, writer: Writer, along: tuple[Window, ...]) -> int:
    """The share of each window that is not padding, [1, H', W', 1], where the image has a free size: a mean of ones."""
    op = cast(AveragePool, node.op)
    height, width = (window.size for window in along)
    ones_type = TensorType(DType.FLOAT32, (1, height, width, 1))
    shape = shape_tensor(writer, node, ones_type.shape)
    ones = writer.step("FILL", [shape, writer.scalar(1.0)], node, "ones", ones_type, schema.FillOptionsT())
    amounts = [(0, 0), *((window.before, window.needed_after()) for window in along), (0, 0)]
    padded_shape = tuple(size + sum(amount) for size, amount in zip(ones_type.shape, amounts, strict=True))
    padded = pad(writer, node, ones, ones_type.with_shape(padded_shape), amounts)
    means = ones_type.with_shape((1, *(window.count for window in along), 1))
    return writer.step("AVERAGE_POOL_2D", [padded], node, "share of cells", means, _options(op, VALID))
