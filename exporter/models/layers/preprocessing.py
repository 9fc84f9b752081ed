"""Layers that bring raw inputs into range, so that the exported model takes what the device has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

from ..structure import Shape, format_shape
from .arguments import BaseArguments
from .base import Layer


class Rescaling(Layer):
    """x · scale + offset; one number each, or one a channel. Integers become float32."""

    supports_masking = True

    def __init__(
        self, scale: float | Sequence[float], offset: float | Sequence[float] = 0.0, **base: Unpack[BaseArguments]
    ) -> None:
        super().__init__(**base)
        self.scale = _number_or_list(scale)
        self.offset = _number_or_list(offset)
        for name, value in (("scale_values", self.scale), ("offset_values", self.offset)):
            self.register_buffer(name, torch.tensor(value) if isinstance(value, list) else None, persistent=False)

    scale_values: Tensor | None
    offset_values: Tensor | None

    def forward(self, x: Tensor) -> Tensor:
        y = x if x.dtype == torch.float32 else x.to(torch.float32)
        if self.scale != 1:
            y = y * (self.scale if self.scale_values is None else self.scale_values)
        if self.offset_values is not None:
            return y + self.offset_values
        return y + self.offset if self.offset else y


class Normalization(Layer):
    """(x - mean) / sqrt(variance), by given statistics or by those of ``adapt(data)``.

    ``axis`` keeps its axes apart (the default is one mean for each of the last axis); None takes one mean for all.
    mean, variance: buffers of the kept axes' sizes. ``invert`` computes x · sqrt(variance) + mean.
    """

    supports_masking = True
    weight_order = ("mean", "variance")

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(**base)
        if (mean is None) != (variance is None):
            self._refuse("needs mean and variance together, or neither and adapt(data)", code="TP010")
        self.axis = axis if axis is None or isinstance(axis, int) else list(axis)
        self.given_mean, self.given_variance = _number_or_list(mean), _number_or_list(variance)
        self.invert = invert
        self._kept: tuple[int, ...] = ()
        self.adapted = mean is not None
        self.register_buffer("mean", None)
        self.register_buffer("variance", None)

    mean: Tensor
    variance: Tensor

    def config_value(self, argument: str) -> Any:
        return getattr(self, {"mean": "given_mean", "variance": "given_variance"}.get(argument, argument))

    def build(self, input_shape: Shape) -> None:
        axes = [] if self.axis is None else [self.axis] if isinstance(self.axis, int) else self.axis
        self._kept = tuple(sorted(axis % len(input_shape) for axis in axes))
        shape = [input_shape[axis] for axis in self._kept]
        sizes = [size for size in shape if size is not None]
        if len(sizes) != len(shape) or 0 in self._kept:
            self._refuse(f"needs fixed sizes on the axes it keeps, received {format_shape(input_shape)}")
        broadcast = [sizes[self._kept.index(axis)] if axis in self._kept else 1 for axis in range(1, len(input_shape))]
        self._broadcast = tuple(broadcast)
        for name, given, plain in (("mean", self.given_mean, 0.0), ("variance", self.given_variance, 1.0)):
            value = torch.tensor(plain if given is None else given, dtype=torch.float32)
            try:
                value = value.reshape(sizes) if value.numel() == int(np.prod(sizes)) else value.expand(sizes)
            except RuntimeError as error:
                self._refuse(f"{name} of shape {list(value.shape)} does not fit the axes' sizes {sizes}", cause=error)
            self.register_buffer(name, value.clone())

    def adapt(self, data: Any) -> None:
        """Takes mean and variance from data [samples, ...] (an array, or an iterable of batches)."""
        batches = [data] if hasattr(data, "__array__") or isinstance(data, list | tuple) else list(data)
        arrays = [np.asarray(batch.detach().cpu() if isinstance(batch, Tensor) else batch) for batch in batches]
        values = np.concatenate(arrays).astype(np.float64) if len(arrays) > 1 else arrays[0].astype(np.float64)
        if values.ndim == 1:
            values = values[:, None]
        if values.size == 0:
            self._refuse("cannot adapt to no data", code="TP017")
        self.ensure_built((None, *values.shape[1:]))
        others = tuple(axis for axis in range(values.ndim) if axis not in self._kept)
        with torch.no_grad():
            self.mean.copy_(torch.from_numpy(np.asarray(values.mean(axis=others))))
            self.variance.copy_(torch.from_numpy(np.asarray(values.var(axis=others))))
        self.adapted = True

    def forward(self, x: Tensor) -> Tensor:
        mean = self.mean.reshape(self._broadcast)
        deviation = self.variance.sqrt().clamp(min=1e-7).reshape(self._broadcast)
        y = x if x.dtype == torch.float32 else x.to(torch.float32)
        return y * deviation + mean if self.invert else (y - mean) / deviation


def _number_or_list(value: Any) -> Any:
    """Numbers stay, arrays become nested lists: JSON-only."""
    if value is None or isinstance(value, int | float):
        return value
    return np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value).tolist()
