"""Transposed convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import torch.nn.functional as F
from torch import Tensor

from .. import initializers, regularizers
from ..structure import Shape
from .arguments import BaseArguments
from .conv import TO_CHANNELS_FIRST, WindowedLayer
from .windows import sizes

_CONV_TRANSPOSE: dict[int, Callable[..., Tensor]] = {
    1: F.conv_transpose1d,
    2: F.conv_transpose2d,
    3: F.conv_transpose3d,
}


class _ConvTranspose(WindowedLayer):
    """The convolution's gradient: spreads each input cell over a window of the output.

    x  [batch, ..., in]  →  y  [batch, ..., filters];   weight [in, filters, kernel sizes], bias [filters]

    A size n becomes n·stride with padding ``same``, and n·stride + max(reach - stride, 0) with ``valid``, where
    reach = (kernel - 1)·dilation + 1.
    """

    weight_order = ("weight", "bias")

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        output_padding: None = None,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer = "glorot_uniform",
        bias_initializer: str | initializers.Initializer = "zeros",
        kernel_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(**base)
        if output_padding is not None:
            self._refuse("takes its output size from padding; output_padding has to stay None", code="TP010")
        self.output_padding = output_padding
        self.filters = sizes(filters, 1, "filters")[0]
        self._set_window(kernel_size, strides, padding, dilation_rate, data_format)
        self._set_extras(activation, use_bias, bias_initializer, bias_regularizer)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.register_parameter("weight", None)
        self.register_parameter("bias", None)
        self._crops = [
            self._crop(*item) for item in zip(self.kernel_size, self.strides, self.dilation_rate, strict=True)
        ]

    def _crop(self, kernel: int, stride: int, dilation: int) -> tuple[int, int, bool]:
        """(cells cut off both ends, cells added at the end, whether one more is cut off the end) of a dimension."""
        excess = (kernel - 1) * dilation + 1 - stride
        if excess < 0:
            return 0, -excess, False
        if self.padding == "valid":
            return 0, 0, False
        return excess // 2, 0, excess % 2 == 1

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[-1]
        assert channels is not None
        self.add_weight((*self.kernel_size, self.filters, channels), self.kernel_initializer)
        if self.use_bias:
            self.add_weight((self.filters,), self.bias_initializer, name="bias")

    def to_keras(self, name: str, value: Tensor) -> Tensor:
        return value.permute(*range(2, self.rank + 2), 1, 0) if name == "weight" else value

    def from_keras(self, name: str, value: Tensor) -> Tensor:
        return value.permute(self.rank + 1, self.rank, *range(self.rank)) if name == "weight" else value

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        spatial: list[int | None] = []
        window = zip(input_shape[1:-1], self.kernel_size, self.strides, self.dilation_rate, strict=True)
        for size, kernel, stride, dilation in window:
            excess = 0 if self.padding == "same" else max((kernel - 1) * dilation + 1 - stride, 0)
            spatial.append(None if size is None else size * stride + excess)
        return (input_shape[0], *spatial, self.filters)

    def forward(self, x: Tensor) -> Tensor:
        y = _CONV_TRANSPOSE[self.rank](
            x.permute(TO_CHANNELS_FIRST[self.rank]),
            self.weight,
            self.bias,
            self.strides,
            tuple(crop for crop, _, _ in self._crops),
            tuple(added for _, added, _ in self._crops),
            1,
            self.dilation_rate,
        )
        for axis, (_, _, one_more) in enumerate(self._crops):
            if one_more:
                y = y.narrow(axis + 2, 0, x.shape[axis + 1] * self.strides[axis])
        return self.finish(y)


class Conv1DTranspose(_ConvTranspose):
    """Transposed convolution over steps: x [batch, steps, in] → y [batch, steps', filters]."""

    rank = 1
    input_rank = 3


class Conv2DTranspose(_ConvTranspose):
    """Transposed convolution over images: x [batch, height, width, in] → y [batch, height', width', filters]."""

    rank = 2
    input_rank = 4


class Conv3DTranspose(_ConvTranspose):
    """Transposed convolution over volumes: x [batch, depth, height, width, in] → y [batch, ..., filters]."""

    rank = 3
    input_rank = 5
