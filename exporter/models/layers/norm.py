"""Normalisation: by the statistics of batches, or of each sample's own features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import initializers, regularizers
from ..structure import Shape, format_shape
from .arguments import BaseArguments
from .base import Layer
from .order import to_channels_first, to_channels_last
from .scaling_norms import last_sizes


class BatchNormalization(Layer):
    """(x - mean) / sqrt(variance + epsilon) · gamma + beta, per channel (the last axis).

    x  [batch, ..., channels]  →  y of the same shape;
    weight (gamma), bias (beta), running_mean, running_var [channels]

    In training mean and variance are the batch's and the running ones follow: running = momentum·running +
    (1 - momentum)·batch's. As in Keras the running variance takes the batch's biased variance (divided by n, where
    torch's own BatchNorm divides by n - 1), and a layer with ``trainable = False`` uses the running statistics even in
    training.
    """

    supports_masking = True
    weight_order = ("weight", "bias", "running_mean", "running_var")
    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: str | initializers.Initializer = "zeros",
        gamma_initializer: str | initializers.Initializer = "ones",
        moving_mean_initializer: str | initializers.Initializer = "zeros",
        moving_variance_initializer: str | initializers.Initializer = "ones",
        beta_regularizer: str | regularizers.Regularizer | None = None,
        gamma_regularizer: str | regularizers.Regularizer | None = None,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(**base)
        self.axis = axis
        if not 0 <= momentum <= 1:
            self._refuse(f"momentum has to lie in [0, 1]; received {momentum}", code="TP010")
        self.momentum, self.epsilon, self.center, self.scale = momentum, epsilon, center, scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.register_parameter("weight", None)
        self.register_parameter("bias", None)

    def check_input(self, input_shape: Any) -> None:
        if len(input_shape) < 2 or input_shape[-1] is None:
            self._refuse(f"needs a fixed number of channels, received {format_shape(input_shape)}")
        if self.axis not in (-1, len(input_shape) - 1):
            self._refuse(f"normalises the last axis; received axis={self.axis}", code="TP010")
        if self.built and input_shape[-1] != self.built_shape[-1]:
            self._refuse(f"was built for {self.built_shape[-1]} channels, received {input_shape[-1]}")

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[-1]
        assert channels is not None
        if self.scale:
            self.add_weight((channels,), self.gamma_initializer)
        if self.center:
            self.add_weight((channels,), self.beta_initializer, name="bias")
        self.add_weight((channels,), self.moving_mean_initializer, trainable=False, name="running_mean")
        self.add_weight((channels,), self.moving_variance_initializer, trainable=False, name="running_var")

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None and self.training and self._trainable:
            self._refuse(
                "takes the statistics of a batch, and a mask says that part of it is padding",
                code="TP010",
                help="use LayerNormalization there, or put BatchNormalization in front of the layer that masks",
            )
        if x.ndim > 2:
            return to_channels_last(self._normalize(to_channels_first(x)))
        return self._normalize(x)

    def _normalize(self, x: Tensor) -> Tensor:
        """x [batch, channels, ...], torch's order."""
        if not (self.training and self._trainable):
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.epsilon
            )
        count = x.numel() // x.shape[1]
        if count == 1:  # a last batch of one sample: torch refuses, Keras goes on with variance 0
            with torch.no_grad():
                self.running_mean.lerp_(x.detach().reshape(-1), 1 - self.momentum)
                self.running_var.mul_(self.momentum)
            return torch.batch_norm(x, self.weight, self.bias, None, None, True, 0.0, self.epsilon, False)
        # With momentum 1 torch leaves the batch's own mean and unbiased variance in these two.
        mean, variance = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
        y = F.batch_norm(x, mean, variance, self.weight, self.bias, True, 1.0, self.epsilon)
        with torch.no_grad():
            share = 1 - self.momentum
            self.running_mean.lerp_(mean, share)
            self.running_var.mul_(self.momentum).add_(variance, alpha=share * (count - 1) / count)
        return y


class LayerNormalization(Layer):
    """(x - mean) / sqrt(variance + epsilon) · gamma + beta over each sample's last axis (or last axes).

    x  [batch, ..., features]  →  y of the same shape;   weight (gamma), bias (beta) [features]
    """

    supports_masking = True
    weight_order = ("weight", "bias")
    weight: Tensor | None
    bias: Tensor | None

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
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
        self.axis = axis if isinstance(axis, int) else list(axis)
        self.epsilon, self.center, self.scale = epsilon, center, scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.normalized_shape: tuple[int, ...] = ()
        self.register_parameter("weight", None)
        self.register_parameter("bias", None)

    def build(self, input_shape: Shape) -> None:
        features = last_sizes(self, self.axis, input_shape)
        self.normalized_shape = features
        if self.scale:
            self.add_weight(features, self.gamma_initializer)
        if self.center:
            self.add_weight(features, self.beta_initializer, name="bias")

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.epsilon)
