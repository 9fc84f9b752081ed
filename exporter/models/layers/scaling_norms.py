"""Normalisation by groups of channels, by the root mean square, to length 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch.nn.functional as F
from torch import Tensor

from .. import initializers, regularizers
from ..structure import Shape, format_shape
from .arguments import BaseArguments
from .base import Layer
from .order import to_channels_first, to_channels_last


def last_sizes(layer: Layer, axis: int | Sequence[int], input_shape: Shape) -> tuple[int, ...]:
    """The sizes of the last axes that ``axis`` names. Raises UsageError TP010 for others, TP011 for free ones."""
    axes = [axis] if isinstance(axis, int) else list(axis)
    counted = sorted(item % len(input_shape) for item in axes)
    if counted != list(range(len(input_shape) - len(counted), len(input_shape))) or counted[0] == 0:
        layer._refuse(f"normalises the last axes; received axis={axis}", code="TP010")
    features = tuple(size for size in input_shape[counted[0] :] if size is not None)
    if len(features) != len(counted):
        layer._refuse(f"needs fixed sizes on the axes it normalises, received {format_shape(input_shape)}")
    return features


class GroupNormalization(Layer):
    """(x - mean) / sqrt(variance + epsilon) · gamma + beta over each sample's groups of channels (Wu and He 2018).

    x  [batch, ..., channels]  →  y of the same shape;   weight (gamma), bias (beta) [channels]

    ``groups=-1`` makes each channel a group of its own (instance normalisation).
    """

    supports_masking = True
    weight_order = ("weight", "bias")
    weight: Tensor | None
    bias: Tensor | None

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: str | initializers.Initializer = "zeros",
        gamma_initializer: str | initializers.Initializer = "ones",
        beta_regularizer: str | regularizers.Regularizer | None = None,
        gamma_regularizer: str | regularizers.Regularizer | None = None,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(**base)
        if isinstance(groups, bool) or not isinstance(groups, int) or (groups < 1 and groups != -1):
            self._refuse(f"groups has to be a positive integer or -1; received {groups!r}", code="TP010")
        self.groups, self.axis, self.epsilon, self.center, self.scale = groups, axis, epsilon, center, scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.register_parameter("weight", None)
        self.register_parameter("bias", None)

    def check_input(self, input_shape: Any) -> None:
        if self.axis not in (-1, len(input_shape) - 1):
            self._refuse(f"normalises the last axis; received axis={self.axis}", code="TP010")
        channels = input_shape[-1]
        if channels is None or channels % (channels if self.groups == -1 else self.groups):
            self._refuse(f"splits the channels into {self.groups} groups, received {format_shape(input_shape)}")

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[-1]
        assert channels is not None
        if self.scale:
            self.add_weight((channels,), self.gamma_initializer)
        if self.center:
            self.add_weight((channels,), self.beta_initializer, name="bias")

    def forward(self, x: Tensor) -> Tensor:
        groups = x.shape[-1] if self.groups == -1 else self.groups
        turned = to_channels_first(x)
        if self.training and not x.requires_grad:
            turned = turned.contiguous()  # torch 2.13 crashes in the backward pass of a view that needs no gradient
        return to_channels_last(F.group_norm(turned, groups, self.weight, self.bias, self.epsilon))


class RMSNormalization(Layer):
    """x / sqrt(mean(x²) + epsilon) · scale over each sample's last axis, or last axes (Zhang and Sennrich 2019).

    x  [batch, ..., features]  →  y of the same shape;   weight (scale) [features]
    """

    weight_order = ("weight",)
    weight: Tensor

    def __init__(self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **base: Unpack[BaseArguments]) -> None:
        super().__init__(**base)
        self.axis = axis if isinstance(axis, int) else list(axis)
        self.epsilon = epsilon
        self.register_parameter("weight", None)

    def build(self, input_shape: Shape) -> None:
        self.add_weight(last_sizes(self, self.axis, input_shape), "ones")

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, tuple(self.weight.shape), self.weight, self.epsilon)


class UnitNormalization(Layer):
    """x divided by its length along ``axis`` (or axes); the batch is axis 0, as in Keras."""

    supports_masking = True

    def __init__(self, axis: int | Sequence[int] = -1, **base: Unpack[BaseArguments]) -> None:
        super().__init__(**base)
        self.axis = axis if isinstance(axis, int) else list(axis)

    def check_input(self, input_shape: Any) -> None:
        axes = [self.axis] if isinstance(self.axis, int) else self.axis
        if any(not -len(input_shape) <= axis < len(input_shape) or axis % len(input_shape) == 0 for axis in axes):
            self._refuse(f"normalises axes of {format_shape(input_shape)} behind the batch; received axis={self.axis}")

    def forward(self, x: Tensor) -> Tensor:
        axes = (self.axis,) if isinstance(self.axis, int) else tuple(self.axis)
        return x * x.square().sum(dim=axes, keepdim=True).clamp(min=1e-24).rsqrt()
