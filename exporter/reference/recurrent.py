"""Recurrent layers by torch's own kernels."""

from __future__ import annotations

import torch

from ..ops import Gru, Lstm, Rnn
from ..ops.recurrent import Nonlinearity
from .registry import Sizes, computes


@computes(Lstm, Gru, Rnn)
def recurrent(
    op: Lstm | Gru | Rnn,
    x: torch.Tensor,
    weight: torch.Tensor,
    hidden_weight: torch.Tensor,
    bias: torch.Tensor,
    *states: torch.Tensor,
    sizes: Sizes,
) -> tuple[torch.Tensor, ...]:
    given = [state.unsqueeze(0) for state in states]
    if not given:
        given = [x.new_zeros(1, x.shape[1], hidden_weight.shape[1])] * op.states
    weights = [weight, hidden_weight, bias[0], bias[1]]
    steps = x.flip(0) if op.reverse else x
    settings = (weights, True, 1, 0.0, False, False, False)
    if isinstance(op, Lstm):
        y, *last = torch.lstm(steps, given, *settings)
    elif isinstance(op, Gru):
        y, *last = torch.gru(steps, given[0], *settings)
    else:
        function = torch.rnn_relu if op.nonlinearity is Nonlinearity.RELU else torch.rnn_tanh
        y, *last = function(steps, given[0], *settings)
    return (y.flip(0) if op.reverse else y, *(state.squeeze(0) for state in last))
