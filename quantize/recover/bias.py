"""Moves each bias by what the rounded weights add to a filter's mean output (Nagel et al. 2019, section 4.2)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...exporter.graph import Node, Quantization
from ...exporter.ops import Conv, Layout
from ..weights import MOST_BIAS, Filters
from .layers import Floats


def unshifted(node: Node, made: Filters, of: Quantization, mean: Floats) -> Filters:
    """The bias less what the rounded weights add to the mean: (dequantized - weight) · E[x]."""
    weight = node.inputs[1].array().astype(np.float64)
    error = made.codes * made.scale.astype(np.float64).reshape(-1, *[1] * (weight.ndim - 1)) - weight
    axis = _weight_channels(node)
    per_channel = np.moveaxis(error, axis, -1).reshape(weight.shape[0], -1, weight.shape[axis]).sum(1)
    groups = node.op.groups if isinstance(node.op, Conv) else 1
    means = np.repeat(mean.reshape(groups, -1), weight.shape[0] // groups, axis=0)
    shift = (per_channel * means).sum(1) / (of.scale * made.scale.astype(np.float64))
    steps = np.clip(made.bias - np.rint(shift), -MOST_BIAS, MOST_BIAS)
    return replace(made, bias=steps.astype(np.int32))


def _weight_channels(node: Node) -> int:
    if isinstance(node.op, Conv):
        return 1 if node.op.layout is Layout.CHANNELS_FIRST else node.inputs[1].type.rank - 1
    return 1
