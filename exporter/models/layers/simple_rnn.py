"""SimpleRNN: a recurrent layer without gates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from .arguments import BaseArguments
from .recurrent import Extras, Initializer, RecurrentLayer, Regularizer


class SimpleRNN(RecurrentLayer):
    """h = activation(x W + h U + b)  (Elman 1990). Shapes, states and masks: see ``RecurrentLayer``."""

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Initializer = "glorot_uniform",
        recurrent_initializer: Initializer = "orthogonal",
        bias_initializer: Initializer = "zeros",
        kernel_regularizer: Regularizer = None,
        recurrent_regularizer: Regularizer = None,
        bias_regularizer: Regularizer = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **base: Unpack[BaseArguments],
    ) -> None:
        extras = Extras(
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            zero_output_for_mask=zero_output_for_mask,
        )
        super().__init__(units, activation, extras, base)

    def is_fused(self) -> bool:
        return self.activation is torch.tanh or self.activation is F.relu

    def kernel(self, x: Tensor, states: Sequence[Tensor], weights: list[Tensor], both_ways: bool) -> Sequence[Tensor]:
        run = torch.rnn_tanh if self.activation is torch.tanh else torch.rnn_relu
        return run(x, states[0], weights, True, 1, 0.0, self.training, both_ways, True)

    def step(self, projected: Tensor, seen: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
        return [self.activation(projected + F.linear(seen, self.recurrent_weight))]
