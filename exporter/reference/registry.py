"""Which torch function says what an op computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch

from ..ops import OpAttrs

Sizes = Mapping[str, int]
Compute = Callable[..., torch.Tensor | tuple[torch.Tensor, ...]]
F = TypeVar("F", bound=Callable[..., Any])

_COMPUTES: dict[type[OpAttrs], Compute] = {}


def computes(*ops: type[OpAttrs]) -> Callable[[F], F]:
    """Decorator: ``function(op, *tensors, sizes=…)`` is the meaning of these ops."""

    def register(function: F) -> F:
        for op in ops:
            _COMPUTES[op] = function
        return function

    return register


def is_computed(op: type[OpAttrs]) -> bool:
    return op in _COMPUTES


def compute(op: OpAttrs, inputs: list[torch.Tensor], sizes: Sizes) -> tuple[torch.Tensor, ...]:
    """The outputs of one op; ``sizes`` gives the free dims."""
    result = _COMPUTES[type(op)](op, *inputs, sizes=sizes)
    return (result,) if isinstance(result, torch.Tensor) else result
