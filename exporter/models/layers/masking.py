"""Masking: steps that hold nothing but one number are padding."""

from __future__ import annotations

from typing import Any, Unpack

from torch import Tensor

from . import masks
from .arguments import BaseArguments
from .base import Layer


class Masking(Layer):
    """x [batch, steps, features] with zeros at the steps whose features all are ``mask_value``, and a mask on them.

    Layers behind this one skip those steps, see ``masks``.
    """

    def __init__(self, mask_value: float = 0.0, **base: Unpack[BaseArguments]) -> None:
        super().__init__(**base)
        self.mask_value = mask_value

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return (inputs != self.mask_value).any(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        mask = (x != self.mask_value).any(dim=-1)
        return masks.attach(x * mask.unsqueeze(-1).to(x.dtype), mask)
