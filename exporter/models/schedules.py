"""Learning rates that change with the step, under Keras's names and formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import UsageError


@dataclass(frozen=True)
class Schedule:
    """Base of all: ``schedule(step)`` is the learning rate of that step, counted from 0."""

    def __call__(self, step: int) -> float:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-only."""
        return asdict(self)


@dataclass(frozen=True)
class ExponentialDecay(Schedule):
    """initial · rate^(step / decay_steps); with ``staircase`` the exponent is rounded down."""

    initial_learning_rate: float
    decay_steps: int
    decay_rate: float
    staircase: bool = False

    def __call__(self, step: int) -> float:
        exponent = step / self.decay_steps
        return self.initial_learning_rate * self.decay_rate ** (math.floor(exponent) if self.staircase else exponent)


@dataclass(frozen=True)
class CosineDecay(Schedule):
    """Half a cosine from ``initial_learning_rate`` to ``alpha`` times it, over ``decay_steps``."""

    initial_learning_rate: float
    decay_steps: int
    alpha: float = 0.0

    def __call__(self, step: int) -> float:
        cosine = 0.5 * (1 + math.cos(math.pi * min(step, self.decay_steps) / self.decay_steps))
        return self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha)


@dataclass(frozen=True)
class PiecewiseConstantDecay(Schedule):
    """``values[i]`` up to and including step ``boundaries[i]``, the last value after all boundaries."""

    boundaries: Sequence[int]
    values: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.values) != len(self.boundaries) + 1:
            raise UsageError(
                "TP010", f"{len(self.boundaries)} boundaries need one value more; received {len(self.values)} values"
            )

    def __call__(self, step: int) -> float:
        return self.values[sum(step > boundary for boundary in self.boundaries)]


CLASSES: dict[str, type[Schedule]] = {
    kind.__name__: kind for kind in (ExponentialDecay, CosineDecay, PiecewiseConstantDecay)
}

__all__ = ["CosineDecay", "ExponentialDecay", "PiecewiseConstantDecay", "Schedule"]
