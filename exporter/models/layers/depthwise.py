"""Depthwise and separable convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from torch import Tensor

from .. import initializers, regularizers
from ..structure import Shape
from .arguments import BaseArguments
from .conv import TO_CHANNELS_FIRST, WindowedLayer
from .windows import sizes


def depthwise_to_keras(weight: Tensor, multiplier: int) -> Tensor:
    """[in·multiplier, 1, ...] → Keras's [..., in, multiplier]."""
    channels = weight.shape[0] // multiplier
    split = weight.reshape(channels, multiplier, *weight.shape[2:])
    return split.permute(*range(2, split.ndim), 0, 1)


def depthwise_from_keras(weight: Tensor) -> Tensor:
    """Keras's [..., in, multiplier] → [in·multiplier, 1, ...]."""
    rank = weight.ndim - 2
    merged = weight.permute(rank, rank + 1, *range(rank))
    return merged.reshape(-1, 1, *merged.shape[2:])


class _DepthwiseConv(WindowedLayer):
    """Each channel convolved on its own, ``depth_multiplier`` times.

    x  [batch, ..., in]  →  y  [batch, ..., in·depth_multiplier];
    weight [in·depth_multiplier, 1, kernel sizes], bias [in·depth_multiplier]
    """

    weight_order = ("weight", "bias")

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: str | initializers.Initializer = "glorot_uniform",
        bias_initializer: str | initializers.Initializer = "zeros",
        depthwise_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(**base)
        self._set_window(kernel_size, strides, padding, dilation_rate, data_format)
        self._set_extras(activation, use_bias, bias_initializer, bias_regularizer)
        self.depth_multiplier = sizes(depth_multiplier, 1, "depth_multiplier")[0]
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.register_parameter("weight", None)
        self.register_parameter("bias", None)

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[-1]
        assert channels is not None
        self.add_weight((*self.kernel_size, channels, self.depth_multiplier), self.depthwise_initializer)
        if self.use_bias:
            self.add_weight((channels * self.depth_multiplier,), self.bias_initializer, name="bias")

    def to_keras(self, name: str, value: Tensor) -> Tensor:
        return depthwise_to_keras(value, self.depth_multiplier) if name == "weight" else value

    def from_keras(self, name: str, value: Tensor) -> Tensor:
        return depthwise_from_keras(value) if name == "weight" else value

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        channels = input_shape[-1]
        assert channels is not None
        return (input_shape[0], *self.spatial_shape(input_shape), channels * self.depth_multiplier)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(TO_CHANNELS_FIRST[self.rank])
        return self.finish(self.slide(x, self.weight, self.bias, x.shape[1]))


class DepthwiseConv1D(_DepthwiseConv):
    """Depthwise convolution over steps: x [batch, steps, in] → y [batch, steps', in·depth_multiplier]."""

    rank = 1
    input_rank = 3
    paddings = ("valid", "same", "causal")


class DepthwiseConv2D(_DepthwiseConv):
    """Depthwise convolution: x [batch, height, width, in] → y [batch, height', width', in·depth_multiplier]."""

    rank = 2
    input_rank = 4


class _SeparableConv(WindowedLayer):
    """A depthwise convolution, then a 1x1 convolution that mixes the channels.

    x  [batch, ..., in]  →  y  [batch, ..., filters];   depthwise_weight [in·depth_multiplier, 1, ...],
    pointwise_weight [filters, in·depth_multiplier, 1, ...], bias [filters]
    """

    weight_order = ("depthwise_weight", "pointwise_weight", "bias")
    depthwise_weight: Tensor
    pointwise_weight: Tensor

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: str | initializers.Initializer = "glorot_uniform",
        pointwise_initializer: str | initializers.Initializer = "glorot_uniform",
        bias_initializer: str | initializers.Initializer = "zeros",
        depthwise_regularizer: str | regularizers.Regularizer | None = None,
        pointwise_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(**base)
        self.filters, self.depth_multiplier = sizes((filters, depth_multiplier), 2, "filters and depth_multiplier")
        self._set_window(kernel_size, strides, padding, dilation_rate, data_format)
        self._set_extras(activation, use_bias, bias_initializer, bias_regularizer)
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.pointwise_initializer = initializers.get(pointwise_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer)
        self.pointwise_regularizer = regularizers.get(pointwise_regularizer)
        for name in self.weight_order:
            self.register_parameter(name, None)

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[-1]
        assert channels is not None
        between = channels * self.depth_multiplier
        ones = (1,) * self.rank
        self.add_weight(
            (*self.kernel_size, channels, self.depth_multiplier), self.depthwise_initializer, name="depthwise_weight"
        )
        self.add_weight((*ones, between, self.filters), self.pointwise_initializer, name="pointwise_weight")
        if self.use_bias:
            self.add_weight((self.filters,), self.bias_initializer, name="bias")

    def to_keras(self, name: str, value: Tensor) -> Tensor:
        if name == "depthwise_weight":
            return depthwise_to_keras(value, self.depth_multiplier)
        return value.permute(*range(2, self.rank + 2), 1, 0) if name == "pointwise_weight" else value

    def from_keras(self, name: str, value: Tensor) -> Tensor:
        if name == "depthwise_weight":
            return depthwise_from_keras(value)
        return value.permute(self.rank + 1, self.rank, *range(self.rank)) if name == "pointwise_weight" else value

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], *self.spatial_shape(input_shape), self.filters)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(TO_CHANNELS_FIRST[self.rank])
        x = self.slide(x, self.depthwise_weight, None, x.shape[1])
        return self.finish(self.convolve(x, self.pointwise_weight, self.bias))


class SeparableConv1D(_SeparableConv):
    """Separable convolution over steps: x [batch, steps, in] → y [batch, steps', filters]."""

    rank = 1
    input_rank = 3
    paddings = ("valid", "same", "causal")


class SeparableConv2D(_SeparableConv):
    """Separable convolution over images: x [batch, height, width, in] → y [batch, height', width', filters]."""

    rank = 2
    input_rank = 4
