"""SimpleRNN: a recurrent layer without gates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from .recurrent import Extras, RecurrentLayer, recurrent


class SimpleRNN(RecurrentLayer):
    """h = activation(x W + h U + b)  (Elman 1990). Shapes, states and masks: see ``RecurrentLayer``."""

    @recurrent
    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        **extras: Unpack[Extras],
    ) -> None:
        super().__init__(units, activation, extras)

    def is_fused(self) -> bool:
        return self.activation is torch.tanh or self.activation is F.relu

    def kernel(self, x: Tensor, states: Sequence[Tensor], weights: list[Tensor], both_ways: bool) -> Sequence[Tensor]:
        run = torch.rnn_tanh if self.activation is torch.tanh else torch.rnn_relu
        return run(x, states[0], weights, True, 1, 0.0, self.training, both_ways, True)

    def step(self, projected: Tensor, seen: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
        return [self.activation(projected + F.linear(seen, self.recurrent_weight))]
