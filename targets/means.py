"""Global means over codes, of which a file need not hold a filter for each channel.

In the graph a mean over codes is a depthwise convolution whose filters are all alike (quantize/windows.py). Where they
look at a whole channel, the channels are the rows of a product with one of them: the same sums, and one filter's bytes.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from ..exporter.graph import Array, Node
from ..exporter.ops import QuantizedConv

LEAST_SAVED = 512
"""Bytes of filters: what reads the channels as rows takes some, too."""


def common_filter(node: Node) -> Array | None:
    """int8 [1, cells of a channel] that a convolution multiplies each channel with, None where it does other things."""
    op, (x, weight, scales, bias) = cast(QuantizedConv, node.op), node.inputs
    sizes = tuple(x.type.shape[axis] for axis in op.layout.spatial_axes(x.type.rank))
    channels = x.type.shape[op.layout.channel_axis(x.type.rank)]
    whole = op.kernel(weight.type) == sizes and not np.any(op.padding) and set(op.dilation) == {1}
    if not whole or op.groups != channels or not all(value.is_constant for value in (weight, scales, bias)):
        return None
    filters = weight.array().reshape(weight.type.static_shape()[0], -1)
    if filters.shape[0] != channels or filters[1:].size < LEAST_SAVED:
        return None
    alike = all((array == array[:1]).all() for array in (filters, scales.array(), bias.array()))
    return filters[:1] if alike else None
