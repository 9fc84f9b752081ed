"""ATen normalisation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..graph import Dim, Value
from ..ops import BatchNorm, LayerNorm
from .context import Context
from .registry import captures


@captures("batch_norm")
def batch_norm(
    context: Context,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Value:
    if training or running_mean is None or running_var is None:
        raise context.error(
            "TP204",
            "batch norm computes its statistics from the batch",
            "call model.eval() before capturing, and build the layer with track_running_stats=True",
        )
    if x.type.rank < 2:
        raise context.error(
            "TP202", f"batch norm of {x.type}, which has no axis of channels", "give it an input [batch, channels, ...]"
        )
    channels = running_mean.type.static_shape()
    dtype = x.type.dtype.numpy
    scale = weight or context.constant(np.ones(channels, dtype))
    offset = bias or context.constant(np.zeros(channels, dtype))
    return context.add(BatchNorm(eps), x, scale, offset, running_mean, running_var)


@captures("layer_norm")
def layer_norm(
    context: Context,
    x: Value,
    normalized_shape: Sequence[Dim],
    weight: Value | None,
    bias: Value | None,
    eps: float,
    cudnn_enable: bool,
) -> Value:
    if weight is None and bias is not None:
        weight = context.constant(np.ones(bias.type.static_shape(), x.type.dtype.numpy))
    operands = [value for value in (x, weight, bias) if value is not None]
    return context.add(LayerNorm(len(normalized_shape), eps), *operands)


@captures("_native_batch_norm_legit_no_training")
def batch_norm_of_statistics(
    context: Context,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value,
    running_var: Value,
    momentum: float,
    eps: float,
) -> tuple[Value, None, None]:
    """What torch makes of `batch_norm` in programs without in-place writes."""
    return batch_norm(context, x, weight, bias, running_mean, running_var, False, momentum, eps, False), None, None
