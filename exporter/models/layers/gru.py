"""GRU: a recurrent layer with two gates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from .arguments import activation_of
from .recurrent import Extras, RecurrentLayer, recurrent


class GRU(RecurrentLayer):
    """Gated recurrent unit (Cho et al. 2014), gates z, r, h in Keras's layout and r, z, n in torch's.

    z = s(x Wz + h Uz + bz)    r = s(x Wr + h Ur + br)    h = z * h + (1 - z) * n

    n = a(x Wn + bn + r * (h Un + b'n))    with ``reset_after``, the default, and its second bias b' [3·units]
    n = a(x Wn + bn + (r * h) Un)          without

    with a = ``activation`` and s = ``recurrent_activation``. bias [2, 3·units] with ``reset_after``, else [3·units].
    Shapes, states and masks: see ``RecurrentLayer``.
    """

    gates = 3

    @recurrent
    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        *,
        reset_after: bool = True,
        **extras: Unpack[Extras],
    ) -> None:
        super().__init__(units, activation, extras)
        self.recurrent_activation = activation_of(recurrent_activation)
        self.reset_after = reset_after

    def bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def biases(self) -> tuple[Tensor, Tensor]:
        if self.bias is None or not self.reset_after:
            return super().biases()
        with_x, with_h = self.bias.unbind(0)
        return with_x, with_h

    def to_keras(self, name: str, value: Tensor) -> Tensor:
        """Rows r, z, n of a matrix → columns z, r, n; the bias likewise. Its own inverse but for the transpose."""
        return self._swapped(value) if name == "bias" else self._swapped(value.t())

    def from_keras(self, name: str, value: Tensor) -> Tensor:
        return self._swapped(value) if name == "bias" else self._swapped(value).t()

    def _swapped(self, value: Tensor) -> Tensor:
        """The first two gates of the last axis [..., 3·units] in each other's place."""
        first, second, third = value.chunk(3, dim=-1)
        return torch.cat([second, first, third], dim=-1)

    def is_fused(self) -> bool:
        return self.reset_after and self.activation is torch.tanh and self.recurrent_activation is torch.sigmoid

    def kernel(self, x: Tensor, states: Sequence[Tensor], weights: list[Tensor], both_ways: bool) -> Sequence[Tensor]:
        return torch.gru(x, states[0], weights, True, 1, 0.0, self.training, both_ways, True)

    def step(self, projected: Tensor, seen: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
        (state,) = states
        if self.reset_after:
            x_r, x_z, x_n = projected.chunk(3, dim=-1)
            h_r, h_z, h_n = F.linear(seen, self.recurrent_weight, self.biases()[1]).chunk(3, dim=-1)
            reset = self.recurrent_activation(x_r + h_r)
            update = self.recurrent_activation(x_z + h_z)
            new = self.activation(x_n + reset * h_n)
        else:
            both = 2 * self.units
            gates = self.recurrent_activation(projected[:, :both] + F.linear(seen, self.recurrent_weight[:both]))
            reset, update = gates.chunk(2, dim=-1)
            new = self.activation(projected[:, both:] + F.linear(reset * seen, self.recurrent_weight[both:]))
        return [update * state + (1 - update) * new]
