"""Layers that draw at random in training, and pass x on as it is otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from .arguments import BaseArguments
from .base import Layer


class RandomLayer(Layer):
    """A layer that draws in training: from torch's global generator, or from one of its own when it has a seed."""

    _generator: torch.Generator | None = None

    def generator(self, seed: int | None) -> torch.Generator | None:
        """The layer's own generator, started once; None is the global one."""
        if seed is not None and self._generator is None:
            self._generator = torch.Generator().manual_seed(seed)
        return self._generator

    def choice(self, shape: Sequence[int], rate: float, seed: int | None, like: Tensor) -> Tensor:
        """What to multiply with: 0 for a share ``rate`` of the values, 1 / (1 - rate) for the others."""
        kept = torch.rand(shape, generator=self.generator(seed)) >= rate
        return kept.to(like.device, like.dtype) / (1 - rate)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_generator": None}


class Dropout(RandomLayer):
    """In training sets a share ``rate`` of the values to 0 and scales the others by 1 / (1 - rate); else x itself.

    ``noise_shape`` (the batch first, None for free) shares the choice along its axes of size 1.
    """

    supports_masking = True

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(**base)
        if not 0 <= rate < 1:
            self._refuse(f"rate has to lie in [0, 1); received {rate}", code="TP010")
        self.rate = rate
        self.noise_shape = None if noise_shape is None else list(noise_shape)
        self.seed = seed

    def compute_output_dtype(self, input_dtypes: Any) -> str:
        return str(input_dtypes)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        if self.noise_shape is None and self.seed is None:
            return F.dropout(x, self.rate, True)
        return x * self.choice(self.noise(x), self.rate, self.seed, x)

    def noise(self, x: Tensor) -> list[int]:
        """The shape of the choice for x."""
        wanted = self.noise_shape or [None] * x.ndim
        return [have if want is None else want for want, have in zip(wanted, x.shape, strict=True)]


class SpatialDropout2D(Dropout):
    """Dropout of whole channels: x [batch, height, width, channels]."""

    input_rank = 4

    def __init__(self, rate: float, seed: int | None = None, **base: Unpack[BaseArguments]) -> None:
        super().__init__(rate, (None, 1, 1, None), seed, **base)


class SpatialDropout1D(Dropout):
    """Dropout of whole channels: x [batch, steps, channels]."""

    input_rank = 3

    def __init__(self, rate: float, seed: int | None = None, **base: Unpack[BaseArguments]) -> None:
        super().__init__(rate, (None, 1, None), seed, **base)


class SpatialDropout3D(Dropout):
    """Dropout of whole channels: x [batch, depth, height, width, channels]."""

    input_rank = 5

    def __init__(self, rate: float, seed: int | None = None, **base: Unpack[BaseArguments]) -> None:
        super().__init__(rate, (None, 1, 1, 1, None), seed, **base)


class AlphaDropout(Dropout):
    """Dropout for networks of ``selu`` (Klambauer et al. 2017): dropped values become selu's lowest one.

    The result is stretched and shifted so that mean and variance stay.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        lowest = -1.7580993408473766  # -alpha · scale of selu
        kept = (self.choice(self.noise(x), self.rate, self.seed, x) > 0).to(x.dtype)
        stretch = 1 / math.sqrt((1 - self.rate) * (1 + self.rate * lowest**2))
        return stretch * (x * kept + lowest * (1 - kept)) - stretch * lowest * self.rate


class GaussianDropout(RandomLayer):
    """In training multiplies with normal numbers of mean 1 and variance rate / (1 - rate); else x itself."""

    supports_masking = True

    def __init__(self, rate: float, seed: int | None = None, **base: Unpack[BaseArguments]) -> None:
        super().__init__(**base)
        if not 0 <= rate < 1:
            self._refuse(f"rate has to lie in [0, 1); received {rate}", code="TP010")
        self.rate, self.seed = rate, seed

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        noise = torch.randn(x.shape, generator=self.generator(self.seed)).to(x.device, x.dtype)
        return x * (1 + noise * math.sqrt(self.rate / (1 - self.rate)))


class GaussianNoise(RandomLayer):
    """In training adds normal noise of standard deviation ``stddev``; else x itself."""

    supports_masking = True

    def __init__(self, stddev: float, seed: int | None = None, **base: Unpack[BaseArguments]) -> None:
        super().__init__(**base)
        self.stddev, self.seed = stddev, seed

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        noise = torch.randn(x.shape, generator=self.generator(self.seed))
        return x + self.stddev * noise.to(x.device, x.dtype)
