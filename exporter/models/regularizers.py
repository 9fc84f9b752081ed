"""Penalties on weights that are added to the training loss: L1, L2 and both."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from ..errors import UsageError
from .structure import user_source


@dataclass(frozen=True)
class Regularizer:
    """Base of all: ``regularizer(weight)`` is a scalar."""

    def __call__(self, weight: Tensor) -> Tensor:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-only."""
        return asdict(self)


@dataclass(frozen=True)
class L1(Regularizer):
    """l1 * sum(|w|)."""

    l1: float = 0.01

    def __call__(self, weight: Tensor) -> Tensor:
        return self.l1 * weight.abs().sum()


@dataclass(frozen=True)
class L2(Regularizer):
    """l2 * sum(w²)."""

    l2: float = 0.01

    def __call__(self, weight: Tensor) -> Tensor:
        return self.l2 * weight.square().sum()


@dataclass(frozen=True)
class L1L2(Regularizer):
    """l1 * sum(|w|) + l2 * sum(w²)."""

    l1: float = 0.0
    l2: float = 0.0

    def __call__(self, weight: Tensor) -> Tensor:
        return self.l1 * weight.abs().sum() + self.l2 * weight.square().sum()


def l1(l1: float = 0.01) -> L1:
    """``L1``, by its lower-case name."""
    return L1(l1)


def l2(l2: float = 0.01) -> L2:
    """``L2``, by its lower-case name."""
    return L2(l2)


def l1_l2(l1: float = 0.01, l2: float = 0.01) -> L1L2:
    """``L1L2``, by its lower-case name; here both default to 0.01, as in Keras."""
    return L1L2(l1, l2)


CLASSES: dict[str, type[Regularizer]] = {"L1": L1, "L2": L2, "L1L2": L1L2}


def get(identifier: str | Regularizer | None) -> Regularizer | None:
    """The regulariser for ``"l1"``, ``"l2"``, ``"l1_l2"``, an object, or None. Raises UsageError TP016 for others."""
    if identifier is None or isinstance(identifier, Regularizer):
        return identifier
    made = {"l1": l1, "l2": l2, "l1_l2": l1_l2}.get(str(identifier).lower())
    if made is None:
        raise UsageError(
            "TP016", f"regularizer {identifier!r} is not known", at=user_source(), help="use l1, l2, l1_l2 or an object"
        )
    return made()


__all__ = ["L1", "L1L2", "L2", "Regularizer", "get", "l1", "l1_l2", "l2"]
