"""Weight initialisers with Keras's names, formulas and defaults.

An initialiser is called with a shape in *Keras's* layout (dense ``[in, out]``, conv ``[height, width, in, out]``),
because the fans are defined on it, and returns float32. Without ``seed`` it draws from torch's global generator, which
``set_seed`` sets.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..errors import UsageError
from .structure import user_source


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan in, fan out) of a kernel in Keras's layout: the receptive field times the last two axes."""
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    receptive = math.prod(shape[:-2])
    return receptive * shape[-2], receptive * shape[-1]


@dataclass(frozen=True)
class Initializer:
    """Base of all: ``initializer(shape)`` returns a float32 tensor."""

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-only."""
        return asdict(self)

    @staticmethod
    def generator(seed: int | None) -> torch.Generator | None:
        """A generator of its own for a seed; None draws from the global one."""
        return None if seed is None else torch.Generator(device="cpu").manual_seed(seed)


@dataclass(frozen=True)
class Zeros(Initializer):
    """All 0."""

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        return torch.zeros(shape)


@dataclass(frozen=True)
class Ones(Initializer):
    """All 1."""

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        return torch.ones(shape)


@dataclass(frozen=True)
class Constant(Initializer):
    """All ``value``."""

    value: float = 0.0

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        return torch.full(shape, self.value)


@dataclass(frozen=True)
class RandomUniform(Initializer):
    """Uniform in [minval, maxval)."""

    minval: float = -0.05
    maxval: float = 0.05
    seed: int | None = None

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        return torch.empty(shape).uniform_(self.minval, self.maxval, generator=self.generator(self.seed))


@dataclass(frozen=True)
class RandomNormal(Initializer):
    """Normal with ``mean`` and ``stddev``."""

    mean: float = 0.0
    stddev: float = 0.05
    seed: int | None = None

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        return torch.empty(shape).normal_(self.mean, self.stddev, generator=self.generator(self.seed))


@dataclass(frozen=True)
class TruncatedNormal(Initializer):
    """Normal, redrawn beyond two standard deviations."""

    mean: float = 0.0
    stddev: float = 0.05
    seed: int | None = None

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        return _truncated(shape, self.mean, self.stddev, self.generator(self.seed))


def _truncated(shape: tuple[int, ...], mean: float, stddev: float, generator: torch.Generator | None) -> Tensor:
    weight = torch.empty(shape)
    return torch.nn.init.trunc_normal_(weight, mean, stddev, mean - 2 * stddev, mean + 2 * stddev, generator=generator)


@dataclass(frozen=True)
class VarianceScaling(Initializer):
    """Variance ``scale / n`` with n the fan in, the fan out, or their mean.

    A truncated normal draws with stddev / 0.8796 (the standard deviation of a normal cut at two sigma), so that the
    variance after cutting is the one asked for.
    """

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"
    seed: int | None = None

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        fan_in, fan_out = fans(shape)
        count = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, count)
        generator = self.generator(self.seed)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return torch.empty(shape).uniform_(-limit, limit, generator=generator)
        if self.distribution == "untruncated_normal":
            return torch.empty(shape).normal_(0.0, math.sqrt(variance), generator=generator)
        return _truncated(shape, 0.0, math.sqrt(variance) / 0.87962566103423978, generator)


@dataclass(frozen=True)
class _Scaled(Initializer):
    """A variance scaling with fixed choices; only the seed is free."""

    seed: int | None = None
    choice: ClassVar[tuple[float, str, str]] = (1.0, "fan_in", "truncated_normal")

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        scale, mode, distribution = self.choice
        return VarianceScaling(scale, mode, distribution, self.seed)(shape)


@dataclass(frozen=True)
class GlorotUniform(_Scaled):
    """Uniform within sqrt(6 / (fan in + fan out)); the default of most kernels."""

    choice = (1.0, "fan_avg", "uniform")


@dataclass(frozen=True)
class GlorotNormal(_Scaled):
    """Truncated normal with variance 2 / (fan in + fan out)."""

    choice = (1.0, "fan_avg", "truncated_normal")


@dataclass(frozen=True)
class HeUniform(_Scaled):
    """Uniform within sqrt(6 / fan in)."""

    choice = (2.0, "fan_in", "uniform")


@dataclass(frozen=True)
class HeNormal(_Scaled):
    """Truncated normal with variance 2 / fan in."""

    choice = (2.0, "fan_in", "truncated_normal")


@dataclass(frozen=True)
class LecunUniform(_Scaled):
    """Uniform within sqrt(3 / fan in)."""

    choice = (1.0, "fan_in", "uniform")


@dataclass(frozen=True)
class LecunNormal(_Scaled):
    """Truncated normal with variance 1 / fan in."""

    choice = (1.0, "fan_in", "truncated_normal")


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """Orthonormal columns (or rows) of the kernel seen as a matrix [everything else, out], times ``gain``."""

    gain: float = 1.0
    seed: int | None = None

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        matrix = torch.empty(math.prod(shape[:-1]), shape[-1])
        return torch.nn.init.orthogonal_(matrix, self.gain, generator=self.generator(self.seed)).reshape(shape)


@dataclass(frozen=True)
class Identity(Initializer):
    """The identity matrix times ``gain``; two axes only."""

    gain: float = 1.0

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        if len(shape) != 2:
            raise UsageError("TP010", f"the identity initialiser needs a matrix; the kernel has shape {list(shape)}")
        return self.gain * torch.eye(*shape)


KNOWN: dict[str, type[Initializer]] = {
    "zeros": Zeros,
    "ones": Ones,
    "constant": Constant,
    "uniform": RandomUniform,
    "random_uniform": RandomUniform,
    "normal": RandomNormal,
    "random_normal": RandomNormal,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal,
    "orthogonal": Orthogonal,
    "identity": Identity,
}
"""Every name that ``kernel_initializer=`` and its like accept."""

CLASSES: dict[str, type[Initializer]] = {kind.__name__: kind for kind in KNOWN.values()}


def get(identifier: str | Initializer) -> Initializer:
    """The initialiser for a name (``"he_normal"`` or ``"HeNormal"``). Raises UsageError TP016 for an unknown one."""
    if isinstance(identifier, Initializer):
        return identifier
    kind = KNOWN.get(identifier) or CLASSES.get(identifier) if isinstance(identifier, str) else None
    if kind is None:
        raise UsageError(
            "TP016",
            f"initializer {identifier!r} is not known",
            at=user_source(),
            help=f"use one of: {', '.join(KNOWN)}",
        )
    return kind()


__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "get",
]
