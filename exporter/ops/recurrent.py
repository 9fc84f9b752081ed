"""Recurrent layers: one layer, one direction, the whole sequence in one op."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from ..graph.types import TensorType
from .base import OpAttrs


class Nonlinearity(Enum):
    """What a plain recurrent cell applies to its sum."""

    TANH = "tanh"
    RELU = "relu"


@dataclass(frozen=True)
class Recurrent(OpAttrs, abstract=True):
    """What all three share. Time comes first; the rows of weights and bias are gates, H rows each, in torch's order.

    x               [T, N, I], T at least 1
    weight          [G*H, I], applied to x
    hidden_weight   [G*H, H], applied to the state of the step before
    bias            [2, G*H]: first the one that goes with weight, then the one that goes with hidden_weight
    state           [N, H]; left out: zeros

    Outputs: y [T, N, H], the state after each step, and state_out [N, H], the one after the last. ``reverse`` goes
    through the steps from the last to the first; y stays in the order of x.
    """

    reverse: bool = False

    operands: ClassVar[tuple[str, ...]] = ("x", "weight", "hidden_weight", "bias", "state?")
    parameters = 1
    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1

    def infer(self, *inputs: TensorType) -> TensorType:
        x, weight, hidden_weight, bias, *states = inputs
        if x.rank != 3 or weight.rank != 2 or hidden_weight.rank != 2:
            raise self.misfit("x must be [time, batch, features], the weights must be matrices", inputs)
        rows, hidden = hidden_weight.static_shape()
        if rows != self.gates * hidden or weight.shape != (rows, x.shape[2]) or bias.shape != (2, rows):
            raise self.misfit(f"weights for {self.gates} gates do not fit one another or x", inputs)
        if len(states) not in (0, self.states) or any(state.shape != (x.shape[1], hidden) for state in states):
            raise self.misfit(f"takes no state, or {self.states} of shape [{x.shape[1]}, {hidden}]", inputs)
        if x.shape[0] == 0:
            raise self.misfit("a sequence must have at least one step", inputs)
        return x.with_shape((*x.shape[:2], hidden))

    def infer_outputs(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        (y,) = super().infer_outputs(*inputs)
        return (y, *(y.with_shape(y.shape[1:]) for _ in range(self.states)))


@dataclass(frozen=True)
class Rnn(Recurrent):
    """h = f(x W + b₀ + h R + b₁)  (Elman 1990)"""

    nonlinearity: Nonlinearity = Nonlinearity.TANH


@dataclass(frozen=True)
class Gru(Recurrent):
    """Gates r, z, n  (Cho et al. 2014, the reset gate applied after the product)

    r = σ(x Wr + b₀r + h Rr + b₁r)    z = σ(x Wz + b₀z + h Rz + b₁z)
    n = tanh(x Wn + b₀n + r * (h Rn + b₁n))    h = (1 - z) * n + z * h
    """

    gates = 3


@dataclass(frozen=True)
class Lstm(Recurrent):
    """Gates i, f, g, o; a second state c [N, H] comes in behind the first and goes out behind it  (Hochreiter 1997)

    each gate = σ, for g tanh, of (x W + b₀ + h R + b₁)    c = f * c + i * g    h = o * tanh(c)
    """

    operands = (*Recurrent.operands, "cell?")
    gates = 4
    states = 2
