"""Activations as layers, and Dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch.nn.functional as F
from torch import Tensor

from .. import initializers, regularizers
from ..structure import Shape
from .arguments import BaseArguments, activation_of
from .base import Layer
from .order import to_channels_first, to_channels_last


class Activation(Layer):
    """An activation by name: ``Activation("relu")``."""

    supports_masking = True

    def __init__(self, activation: Any, **base: Unpack[BaseArguments]) -> None:
        super().__init__(**base)
        self.activation = activation_of(activation)

    def forward(self, x: Tensor) -> Any:
        return self.activation(x)


class ReLU(Layer):
    """max(x, 0); may be cut at ``max_value``, slope below 0, and be 0 (or sloped) up to ``threshold``."""

    supports_masking = True

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(**base)
        for name, value in (
            ("max_value", max_value or 0.0),
            ("negative_slope", negative_slope),
            ("threshold", threshold),
        ):
            if value < 0:
                self._refuse(f"{name} must not be negative; received {value}", code="TP010")
        self.max_value, self.negative_slope, self.threshold = max_value, negative_slope, threshold

    def forward(self, x: Tensor) -> Tensor:
        if self.threshold:
            below = self.negative_slope * (x - self.threshold).clamp(max=0.0)
            y = F.threshold(x, self.threshold, 0.0)
            y = y + below if self.negative_slope else y
            return y if self.max_value is None else y.clamp(max=self.max_value)
        if self.negative_slope:
            y = F.leaky_relu(x, self.negative_slope)
            return y if self.max_value is None else y.clamp(max=self.max_value)
        if self.max_value is None:
            return F.relu(x)
        return F.relu6(x) if self.max_value == 6 else x.clamp(0.0, self.max_value)


class LeakyReLU(Layer):
    """x above 0, ``negative_slope``·x below (also called ``alpha``)."""

    supports_masking = True

    def __init__(self, negative_slope: float = 0.3, alpha: float | None = None, **base: Unpack[BaseArguments]) -> None:
        super().__init__(**base)
        self.negative_slope = negative_slope if alpha is None else alpha
        self.alpha = None

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.negative_slope)


class PReLU(Layer):
    """x above 0, weight·x below, the weight learned.

    One weight for each feature of a sample, except along ``shared_axes`` (1 is the first after the batch): for
    x [batch, height, width, channels] weight is [height, width, channels], with shared_axes=[1, 2] it is [channels].
    """

    supports_masking = True
    weight_order = ("weight",)
    weight: Tensor

    def __init__(
        self,
        alpha_initializer: str | initializers.Initializer = "zeros",
        alpha_regularizer: str | regularizers.Regularizer | None = None,
        shared_axes: Sequence[int] | int | None = None,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(**base)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.shared_axes = (
            [shared_axes] if isinstance(shared_axes, int) else None if shared_axes is None else list(shared_axes)
        )
        self.register_parameter("weight", None)

    def build(self, input_shape: Shape) -> None:
        shape = [1 if axis in (self.shared_axes or []) else size for axis, size in enumerate(input_shape)][1:]
        fixed = [size for size in shape if size is not None]
        if len(fixed) != len(shape):
            self._refuse("needs fixed sizes on the axes it does not share", help="name the free ones in shared_axes=")
        self._per_channel = all(size == 1 for size in fixed[:-1])
        self._axes = len(fixed)
        self.add_weight(fixed, self.alpha_initializer)

    def to_keras(self, name: str, value: Tensor) -> Tensor:
        return value.reshape(*(1,) * (self._axes - 1), -1) if self._per_channel else value

    def from_keras(self, name: str, value: Tensor) -> Tensor:
        return value.reshape(-1) if self._per_channel else value

    def forward(self, x: Tensor) -> Tensor:
        if not self._per_channel:
            return F.relu(x) - self.weight * F.relu(-x)
        if x.ndim == 2:
            return F.prelu(x, self.weight)
        return to_channels_last(F.prelu(to_channels_first(x), self.weight))


class ELU(Layer):
    """x above 0, alpha·(exp(x) - 1) below."""

    supports_masking = True

    def __init__(self, alpha: float = 1.0, **base: Unpack[BaseArguments]) -> None:
        super().__init__(**base)
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(x, self.alpha)


class Softmax(Layer):
    """exp(x) / sum(exp(x)) along ``axis``."""

    supports_masking = True

    def __init__(self, axis: int = -1, **base: Unpack[BaseArguments]) -> None:
        super().__init__(**base)
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        return F.softmax(x, dim=self.axis)
