"""Global means over codes, for which a file need hold no filters, or one for all channels.

In the graph a mean over codes is a depthwise convolution whose filters are all alike (quantize/windows.py), which is
exact everywhere. Where they look at a whole channel, XNNPACK takes ten times as long for it as for MEAN. Kernels for
means differ in how they requantize, and so in ties; where no sum comes near one, all of them give the convolution's
codes. Elsewhere the channels are the rows of a product with one of the filters: the same sums, and one filter's bytes.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from ..exporter.graph import Array, Node
from ..exporter.ops import Activation, QuantizedConv
from ..exporter.ops.quantized import means_are_untied

LEAST_SAVED = 512
"""Bytes of filters: what reads the channels as rows takes some, too."""

MOST_CELLS = 2**14
"""Of a channel: 32-bit sums and the check of all of them have no trouble with that many."""


def is_untied_mean(node: Node) -> bool:
    """Whether a `QuantizedConv` gives the mean of each whole channel, and any kernel for means gives the same codes."""
    op, scales, bias = cast(QuantizedConv, node.op), node.inputs[2], node.inputs[3]
    filters = _whole_filters(node)
    if filters is None or op.activation is not Activation.NONE or not 1 < filters[0].size <= MOST_CELLS:
        return False
    share = np.float32(1 / filters[0].size)
    if bias.array().any() or not (filters == 1).all() or not (scales.array() == share).all():
        return False
    return means_are_untied(filters[0].size, op.of, op.to)


def common_filter(node: Node) -> Array | None:
    """int8 [1, cells of a channel] that a convolution multiplies each channel with, None where it does other things."""
    scales, bias = node.inputs[2:]
    filters = _whole_filters(node)
    if filters is None or filters[1:].size < LEAST_SAVED:
        return None
    alike = all((array == array[:1]).all() for array in (filters, scales.array(), bias.array()))
    return filters[:1] if alike else None


def _whole_filters(node: Node) -> Array | None:
    """[channels, cells] of a convolution whose filters see a whole channel of their own, once."""
    op, (x, weight, scales, bias) = cast(QuantizedConv, node.op), node.inputs
    sizes = tuple(x.type.shape[axis] for axis in op.layout.spatial_axes(x.type.rank))
    channels = x.type.shape[op.layout.channel_axis(x.type.rank)]
    whole = op.kernel(weight.type) == sizes and not np.any(op.padding) and set(op.dilation) == {1}
    if not whole or op.groups != channels or not all(value.is_constant for value in (weight, scales, bias)):
        return None
    filters = weight.array().reshape(weight.type.static_shape()[0], -1)
    return filters if filters.shape[0] == channels else None
