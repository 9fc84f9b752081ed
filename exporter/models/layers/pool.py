"""Pooling on channels-last tensors; padding ``same`` is never counted in a mean and never wins a maximum."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Unpack

import torch.nn.functional as F
from torch import Tensor

from ..structure import Shape, format_shape
from .arguments import BaseArguments
from .base import Layer
from .conv import TO_CHANNELS_FIRST, TO_CHANNELS_LAST
from .windows import channels_last, is_fixed, output_size, pad_list, padding_name, same_amounts, sizes

_MAX: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE: dict[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


class _Pooling(Layer):
    """A window slides over x [batch, ..., channels] and leaves one number a place and channel."""

    rank: ClassVar[int]

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(**base)
        self.pool_size = sizes(pool_size, self.rank, "pool_size")
        self.strides = self.pool_size if strides is None else sizes(strides, self.rank, "strides")
        self.padding = padding_name(padding)
        self.data_format = channels_last(data_format)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        window = zip(input_shape[1:-1], self.pool_size, self.strides, strict=True)
        spatial = [output_size(size, pool, stride, 1, self.padding) for size, pool, stride in window]
        if any(size is not None and size < 1 for size in spatial):
            self._refuse(f"has a window {self.pool_size} that is larger than its input {format_shape(input_shape)}")
        return (input_shape[0], *spatial, input_shape[-1])

    def amounts(self, x: Tensor) -> list[tuple[Any, Any]]:
        """(before, after) of ``same`` in each spatial dimension of x [batch, channels, ...]."""
        return [same_amounts(*item) for item in zip(x.shape[2:], self.pool_size, self.strides, strict=True)]

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x.permute(TO_CHANNELS_FIRST[self.rank])).permute(TO_CHANNELS_LAST[self.rank])

    def pool(self, x: Tensor) -> Tensor:
        """The pooling in torch's order."""
        raise NotImplementedError


class _MaxPooling(_Pooling):
    def pool(self, x: Tensor) -> Tensor:
        if self.padding == "valid":
            return _MAX[self.rank](x, self.pool_size, self.strides)
        amounts = self.amounts(x)
        if is_fixed(amounts) and all(before == after for before, after in amounts):
            return _MAX[self.rank](x, self.pool_size, self.strides, tuple(before for before, _ in amounts))
        return _MAX[self.rank](F.pad(x, pad_list(amounts), value=-math.inf), self.pool_size, self.strides)


class MaxPooling1D(_MaxPooling):
    """Maximum over windows of steps: x [batch, steps, channels] → y [batch, steps', channels]."""

    rank = 1
    input_rank = 3


class MaxPooling2D(_MaxPooling):
    """Maximum over windows: x [batch, height, width, channels] → y [batch, height', width', channels]."""

    rank = 2
    input_rank = 4


class MaxPooling3D(_MaxPooling):
    """Maximum over windows of volumes: x [batch, depth, height, width, channels] → y of the same axes."""

    rank = 3
    input_rank = 5


class _AveragePooling(_Pooling):
    def pool(self, x: Tensor) -> Tensor:
        average = _AVERAGE[self.rank]
        if self.padding == "valid":
            return average(x, self.pool_size, self.strides)
        amounts = self.amounts(x)
        if not is_fixed(amounts):
            return self._pool_free_sizes(x, amounts)
        # torch pads both ends alike. Where ``same`` wants one more cell after than before, a stride above 1 lets the
        # last window hang over the end (ceil_mode; cells outside are not counted). With stride 1, one more cell is put
        # on both ends, and the first window, which Keras does not have, is cut off.
        shifted = [
            after > before and stride == 1 for (before, after), stride in zip(amounts, self.strides, strict=True)
        ]
        hanging = any(
            after > before and stride > 1 for (before, after), stride in zip(amounts, self.strides, strict=True)
        )
        padding = tuple(before + shift for (before, _), shift in zip(amounts, shifted, strict=True))
        y = average(x, self.pool_size, self.strides, padding, ceil_mode=hanging, count_include_pad=False)
        for axis, shift in enumerate(shifted):
            if shift:
                y = y.narrow(axis + 2, 1, x.shape[axis + 2])
        return y

    def _pool_free_sizes(self, x: Tensor, amounts: list[tuple[Any, Any]]) -> Tensor:
        """With free spatial sizes the amounts are symbolic: sums and counts are pooled apart."""
        pads = pad_list(amounts)
        counted = F.pad(x.new_ones((1, 1, *x.shape[2:])), pads)
        average = _AVERAGE[self.rank]
        return average(F.pad(x, pads), self.pool_size, self.strides) / average(counted, self.pool_size, self.strides)


class AveragePooling1D(_AveragePooling):
    """Mean over windows of steps: x [batch, steps, channels] → y [batch, steps', channels]."""

    rank = 1
    input_rank = 3


class AveragePooling2D(_AveragePooling):
    """Mean over windows: x [batch, height, width, channels] → y [batch, height', width', channels]."""

    rank = 2
    input_rank = 4


class AveragePooling3D(_AveragePooling):
    """Mean over windows: x [batch, depth, height, width, channels] → y [batch, depth', height', width', channels]."""

    rank = 3
    input_rank = 5


class _GlobalPooling(Layer):
    """One number a channel: x [batch, ..., channels] → y [batch, channels]; keepdims keeps the axes, of size 1."""

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **base: Unpack[BaseArguments]) -> None:
        super().__init__(**base)
        self.data_format = channels_last(data_format)
        self.keepdims = keepdims

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        kept = (1,) * (len(input_shape) - 2) if self.keepdims else ()
        return (input_shape[0], *kept, input_shape[-1])


class _GlobalAverage(_GlobalPooling):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=tuple(range(1, x.ndim - 1)), keepdim=self.keepdims)


class _GlobalMax(_GlobalPooling):
    def forward(self, x: Tensor) -> Tensor:
        return x.amax(dim=tuple(range(1, x.ndim - 1)), keepdim=self.keepdims)


class GlobalAveragePooling1D(_GlobalAverage):
    """Mean over all steps, or over those a mask counts (0 where it counts none): x [batch, steps, channels] → y
    [batch, channels]."""

    input_rank = 3

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return super().forward(x)
        counts = (mask != 0).to(x.dtype).unsqueeze(-1)
        total = (x * counts).sum(dim=1, keepdim=self.keepdims)
        return total / counts.sum(dim=1, keepdim=self.keepdims).clamp(min=1)


class GlobalAveragePooling2D(_GlobalAverage):
    """Mean over height and width: x [batch, height, width, channels] → y [batch, channels]."""

    input_rank = 4


class GlobalAveragePooling3D(_GlobalAverage):
    """Mean over depth, height and width: x [batch, depth, height, width, channels] → y [batch, channels]."""

    input_rank = 5


class GlobalMaxPooling1D(_GlobalMax):
    """Maximum over all steps: x [batch, steps, channels] → y [batch, channels]."""

    input_rank = 3


class GlobalMaxPooling2D(_GlobalMax):
    """Maximum over height and width: x [batch, height, width, channels] → y [batch, channels]."""

    input_rank = 4


class GlobalMaxPooling3D(_GlobalMax):
    """Maximum over depth, height and width: x [batch, depth, height, width, channels] → y [batch, channels]."""

    input_rank = 5
