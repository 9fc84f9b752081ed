"""LSTM: a recurrent layer with a cell beside its state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from ..structure import Shape
from .arguments import activation_of
from .recurrent import Extras, RecurrentLayer, recurrent

HOLD = 100.0
"""A gate that is given this much more is open, and given this much less closed, to the last digit of a float."""


class LSTM(RecurrentLayer):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), gates i, f, c, o as in Keras and torch.

    i = s(x Wi + h Ui + bi)    f = s(x Wf + h Uf + bf)    o = s(x Wo + h Uo + bo)
    c = f * c + i * a(x Wc + h Uc + bc)    h = o * a(c)

    with a = ``activation`` and s = ``recurrent_activation``. ``unit_forget_bias`` starts bf at 1.
    Shapes, states and masks: see ``RecurrentLayer``.
    """

    gates = 4
    states = 2

    @recurrent
    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        *,
        unit_forget_bias: bool = True,
        **extras: Unpack[Extras],
    ) -> None:
        super().__init__(units, activation, extras)
        self.recurrent_activation = activation_of(recurrent_activation)
        self.unit_forget_bias = unit_forget_bias

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        if self.bias is not None and self.unit_forget_bias:
            with torch.no_grad():
                self.bias[self.units : 2 * self.units] = 1.0

    def is_fused(self) -> bool:
        return self.activation is torch.tanh and self.recurrent_activation is torch.sigmoid

    def kernel(self, x: Tensor, states: Sequence[Tensor], weights: list[Tensor], both_ways: bool) -> Sequence[Tensor]:
        return torch.lstm(x, list(states), weights, True, 1, 0.0, self.training, both_ways, True)

    def step(self, projected: Tensor, seen: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
        i, f, g, o = (projected + F.linear(seen, self.recurrent_weight)).chunk(4, dim=-1)
        cell = self.recurrent_activation(f) * states[1] + self.recurrent_activation(i) * self.activation(g)
        return [self.recurrent_activation(o) * self.activation(cell), cell]

    def holding(self) -> Tensor:
        gate = self.weight.new_tensor([[-HOLD], [HOLD], [0.0], [0.0]])
        return gate.repeat_interleave(self.units, dim=0)
