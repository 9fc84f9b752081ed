"""Convolutions on channels-last tensors.

A layer permutes to torch's order (a view: the memory stays channels-last), calls the torch function, permutes back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Unpack

import torch.nn.functional as F
from torch import Tensor

from .. import initializers, regularizers
from ..activations import linear
from ..structure import Shape, format_shape
from .arguments import BaseArguments, activation_of
from .base import Layer
from .windows import channels_last, is_fixed, output_size, pad_list, padding_name, same_amounts, sizes

TO_CHANNELS_FIRST = {1: (0, 2, 1), 2: (0, 3, 1, 2), 3: (0, 4, 1, 2, 3)}
TO_CHANNELS_LAST = {1: (0, 2, 1), 2: (0, 2, 3, 1), 3: (0, 2, 3, 4, 1)}
_CONV: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


class WindowedLayer(Layer):
    """What all convolutions share: kernel size, strides, padding, dilation, bias, activation."""

    rank: ClassVar[int]
    paddings: ClassVar[tuple[str, ...]] = ("valid", "same")
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]
    padding: str
    weight: Tensor
    bias: Tensor | None

    def _set_window(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int],
        padding: str,
        dilation_rate: int | Sequence[int],
        data_format: str | None,
    ) -> None:
        self.kernel_size = sizes(kernel_size, self.rank, "kernel_size")
        self.strides = sizes(strides, self.rank, "strides")
        self.dilation_rate = sizes(dilation_rate, self.rank, "dilation_rate")
        self.padding = padding_name(padding, self.paddings)
        self.data_format = channels_last(data_format)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            self._refuse(
                f"has strides {self.strides} and dilation_rate {self.dilation_rate}: only one of them may exceed 1",
                code="TP010",
            )

    def _set_extras(self, activation: Any, use_bias: bool, bias_initializer: Any, bias_regularizer: Any) -> None:
        self.activation = activation_of(activation)
        self.use_bias = use_bias
        self.bias_initializer = initializers.get(bias_initializer)
        self.bias_regularizer = regularizers.get(bias_regularizer)

    def check_input(self, input_shape: Any) -> None:
        super().check_input(input_shape)
        if input_shape[-1] is None:
            self._refuse(f"needs a fixed number of channels, received {format_shape(input_shape)}")
        if self.built and input_shape[-1] != self.built_shape[-1]:
            self._refuse(f"was built for {self.built_shape[-1]} channels, received {input_shape[-1]}")

    def spatial_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        """Height and width after the window slid over; raises UsageError TP011 when it does not fit once."""
        result = tuple(
            output_size(size, kernel, stride, dilation, self.padding)
            for size, kernel, stride, dilation in zip(
                input_shape[1:-1], self.kernel_size, self.strides, self.dilation_rate, strict=True
            )
        )
        if any(size is not None and size < 1 for size in result):
            self._refuse(f"has a kernel {self.kernel_size} that is larger than its input {format_shape(input_shape)}")
        return result

    def slide(self, x: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> Tensor:
        """The convolution in torch's order, x [batch, channels, ...], with this layer's window and padding."""
        conv = _CONV[self.rank]
        if self.padding == "valid":
            return conv(x, weight, bias, self.strides, 0, self.dilation_rate, groups)
        window = zip(x.shape[2:], self.kernel_size, self.strides, self.dilation_rate, strict=True)
        amounts = [same_amounts(*item) for item in window]
        if self.padding == "causal":
            amounts = [((k - 1) * d, 0) for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)]
        if is_fixed(amounts) and all(before == after for before, after in amounts):
            return conv(x, weight, bias, self.strides, tuple(b for b, _ in amounts), self.dilation_rate, groups)
        return conv(F.pad(x, pad_list(amounts)), weight, bias, self.strides, 0, self.dilation_rate, groups)

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """A plain convolution in torch's order: stride 1, no padding."""
        return _CONV[self.rank](x, weight, bias)

    def finish(self, y: Tensor) -> Tensor:
        """Back to channels-last, then the activation."""
        y = y.permute(TO_CHANNELS_LAST[self.rank])
        return y if self.activation is linear else self.activation(y)


class _Conv(WindowedLayer):
    """activation(conv(x, kernel) + bias).

    x  [batch, ..., in]  →  y  [batch, ..., filters];   weight [filters, in / groups, ...], bias [filters]
    """

    weight_order = ("weight", "bias")

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer = "glorot_uniform",
        bias_initializer: str | initializers.Initializer = "zeros",
        kernel_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(**base)
        self.filters, self.groups = sizes((filters, groups), 2, "filters and groups")
        if self.filters % self.groups:
            self._refuse(f"has {filters} filters, which {groups} groups do not divide", code="TP010")
        self._set_window(kernel_size, strides, padding, dilation_rate, data_format)
        self._set_extras(activation, use_bias, bias_initializer, bias_regularizer)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.register_parameter("weight", None)
        self.register_parameter("bias", None)

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[-1]
        assert channels is not None
        if channels % self.groups:
            self._refuse(f"splits {channels} channels into {self.groups} groups, which do not divide them")
        self.add_weight((*self.kernel_size, channels // self.groups, self.filters), self.kernel_initializer)
        if self.use_bias:
            self.add_weight((self.filters,), self.bias_initializer, name="bias")

    def to_keras(self, name: str, value: Tensor) -> Tensor:
        return value.permute(*range(2, self.rank + 2), 1, 0) if name == "weight" else value

    def from_keras(self, name: str, value: Tensor) -> Tensor:
        return value.permute(self.rank + 1, self.rank, *range(self.rank)) if name == "weight" else value

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], *self.spatial_shape(input_shape), self.filters)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(TO_CHANNELS_FIRST[self.rank])
        return self.finish(self.slide(x, self.weight, self.bias, self.groups))


class Conv1D(_Conv):
    """Convolution over steps: x [batch, steps, in] → y [batch, steps', filters]. Padding also ``causal``."""

    rank = 1
    input_rank = 3
    paddings = ("valid", "same", "causal")


class Conv2D(_Conv):
    """Convolution over images: x [batch, height, width, in] → y [batch, height', width', filters]."""

    rank = 2
    input_rank = 4


class Conv3D(_Conv):
    """Convolution over volumes: x [batch, depth, height, width, in] → y [batch, depth', height', width', filters]."""

    rank = 3
    input_rank = 5
