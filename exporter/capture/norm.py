"""ATen normalisation. Statistics of groups and images are written with means that need no transpose in any layout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..graph import Dim, Value
from ..ops import Add, BatchNorm, Expand, LayerNorm, Mul, ReduceMean, Rsqrt, Sub
from .context import Context
from .linear import reshaped
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
    if x.type.rank < 2:
        raise context.error(
            "TP202", f"batch norm of {x.type}, which has no axis of channels", "give it an input [batch, channels, ...]"
        )
    if running_mean is None or running_var is None:
        return _by_own_statistics(context, x, weight, bias, eps, (0, *range(2, x.type.rank)))
    if training:
        raise context.error(
            "TP204",
            "batch norm computes its statistics from the batch and keeps a running mean of them",
            "pass training=self.training to F.batch_norm, or running_mean=None and running_var=None",
        )
    channels = running_mean.type.static_shape()
    dtype = x.type.dtype.numpy
    scale = weight or context.constant(np.ones(channels, dtype))
    offset = bias or context.constant(np.zeros(channels, dtype))
    given = running_mean, running_var, scale, offset
    if all(value.is_constant for value in given):
        return context.add(BatchNorm(eps), x, scale, offset, running_mean, running_var)
    mean, variance, factor, shift = (_along_channels(context, value, x.type.rank) for value in given)
    deviation = context.add(Rsqrt(), context.add(Add(), variance, context.scalar(eps, x.type.dtype)))
    centred = context.add(Sub(), x, mean)
    return context.add(Add(), context.add(Mul(), centred, context.add(Mul(), deviation, factor)), shift)


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


@captures("_native_batch_norm_legit.no_stats")
def batch_norm_of_batch(
    context: Context,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Value, None, None]:
    """What torch makes of `batch_norm` without statistics in programs without in-place writes."""
    return batch_norm(context, x, weight, bias, None, None, training, momentum, eps, False), None, None


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


@captures("native_layer_norm")
def native_layer_norm(
    context: Context, x: Value, shape: Sequence[Dim], weight: Value | None, bias: Value | None, eps: float
) -> tuple[Value, None, None]:
    """What torch makes of `layer_norm` in programs without in-place writes."""
    return layer_norm(context, x, shape, weight, bias, eps, False), None, None


@captures("instance_norm")
def instance_norm(
    context: Context,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value | None,
    running_var: Value | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Value:
    if not use_input_stats:
        return batch_norm(context, x, weight, bias, running_mean, running_var, False, momentum, eps, False)
    return _by_own_statistics(context, x, weight, bias, eps, tuple(range(2, x.type.rank)))


@captures("group_norm")
def group_norm(
    context: Context, x: Value, groups: int, weight: Value | None, bias: Value | None, eps: float, cudnn_enabled: bool
) -> Value:
    """Statistics of each sample over the spatial axes and the channels of a group."""
    if groups == x.type.shape[1] and x.type.rank > 2:
        return _by_own_statistics(context, x, weight, bias, eps, tuple(range(2, x.type.rank)))
    if groups == 1:
        return _by_own_statistics(context, x, weight, bias, eps, tuple(range(1, x.type.rank)))
    centred = context.add(Sub(), x, _group_mean(context, x, groups))
    variance = _group_mean(context, context.add(Mul(), centred, centred), groups)
    return _normalised(context, centred, variance, weight, bias, eps)


@captures("native_group_norm")
def native_group_norm(
    context: Context,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    batch: Dim,
    channels: Dim,
    cells: Dim,
    groups: int,
    eps: float,
) -> tuple[Value, None, None]:
    """What torch makes of `group_norm` in programs without in-place writes."""
    return group_norm(context, x, groups, weight, bias, eps, False), None, None


@captures("rms_norm")
def rms_norm(
    context: Context, x: Value, normalized_shape: Sequence[Dim], weight: Value | None, eps: float | None
) -> Value:
    """x / sqrt(mean(x²) + eps) * weight over the last axes  (Zhang & Sennrich 2019)"""
    rank, dtype = x.type.rank, x.type.dtype
    axes = tuple(range(rank - len(normalized_shape), rank))
    power = context.add(ReduceMean(axes, True), context.add(Mul(), x, x))
    smallest = float(np.finfo(dtype.value).eps) if eps is None else eps
    y = context.add(Mul(), x, context.add(Rsqrt(), context.add(Add(), power, context.scalar(smallest, dtype))))
    return y if weight is None else context.add(Mul(), y, weight)


@captures("_fused_rms_norm")
def fused_rms_norm(
    context: Context, x: Value, normalized_shape: Sequence[Dim], weight: Value | None, eps: float | None
) -> tuple[Value, None]:
    """`rms_norm` beside the factor that its gradient needs."""
    return rms_norm(context, x, normalized_shape, weight, eps), None


def _by_own_statistics(
    context: Context, x: Value, weight: Value | None, bias: Value | None, eps: float, axes: tuple[int, ...]
) -> Value:
    """Mean and biased variance over ``axes``, scale and offset along axis 1."""
    centred = context.add(Sub(), x, context.add(ReduceMean(axes, True), x))
    variance = context.add(ReduceMean(axes, True), context.add(Mul(), centred, centred))
    return _normalised(context, centred, variance, weight, bias, eps)


def _normalised(
    context: Context, centred: Value, variance: Value, weight: Value | None, bias: Value | None, eps: float
) -> Value:
    """The scale goes onto the small factor before that meets the image."""
    rank = centred.type.rank
    factor = context.add(Rsqrt(), context.add(Add(), variance, context.scalar(eps, centred.type.dtype)))
    if weight is not None:
        factor = context.add(Mul(), factor, _along_channels(context, weight, rank))
    y = context.add(Mul(), centred, factor)
    return y if bias is None else context.add(Add(), y, _along_channels(context, bias, rank))


def _group_mean(context: Context, x: Value, groups: int) -> Value:
    """[N, C, *S] → [N, C, 1 …]: means over space, then over the channels of a group, each given to all of them."""
    batch, channels, *sizes = x.type.shape
    means = context.add(ReduceMean(tuple(range(2, x.type.rank)), True), x) if sizes else x
    grouped = reshaped(context, means, (batch, groups, channels // groups))
    shared = context.add(Expand(grouped.type.shape), context.add(ReduceMean((2,), True), grouped))
    return reshaped(context, shared, (batch, channels, *(1,) * len(sizes)))


def _along_channels(context: Context, parameter: Value, rank: int) -> Value:
    """[C] as it broadcasts to [N, C, …]."""
    return reshaped(context, parameter, (*parameter.type.shape, *(1,) * (rank - 2)))
