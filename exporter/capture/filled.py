"""Tensors of one number whose size is free: no constant, and mostly no node either."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ..graph import TensorType

F = TypeVar("F", bound=Callable[..., object])

_TAKERS: set[Callable[..., object]] = set()


@dataclass(frozen=True)
class Filled:
    """One number in every cell of a shape with free dims: good to be written to, and to be written into a tensor."""

    number: float
    type: TensorType


def takes_filled(converter: F) -> F:
    """Decorator of converters whose arguments may be `Filled`; all others get whole tensors in their place."""
    _TAKERS.add(converter)
    return converter


def knows_filled(converter: Callable[..., object]) -> bool:
    """Whether a converter has that decorator."""
    return converter in _TAKERS


def without_filled(values: list[Any], whole: Callable[[Filled], Any]) -> list[Any]:
    """The values, those in lists too, with ``whole`` of each `Filled`."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return without_filled(value, whole)
        return whole(value) if isinstance(value, Filled) else value

    return [plain(value) for value in values]
