"""Activation functions in torch."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from ..ops import (
    Activation,
    Clamp,
    Elu,
    Gelu,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    LogSoftmax,
    Mish,
    OpAttrs,
    PRelu,
    Relu,
    Selu,
    Sigmoid,
    Silu,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)
from .registry import Sizes, computes

_FUSED: dict[Activation, Callable[[torch.Tensor], torch.Tensor]] = {
    Activation.NONE: lambda x: x,
    Activation.RELU: F.relu,
    Activation.RELU6: lambda x: torch.clamp(x, 0, 6),
}


def apply_activation(activation: Activation, x: torch.Tensor) -> torch.Tensor:
    """The clamp a fused activation stands for."""
    return _FUSED[activation](x)


_PLAIN: dict[type[OpAttrs], Callable[[torch.Tensor], torch.Tensor]] = {
    Relu: F.relu,
    Selu: F.selu,
    Sigmoid: torch.sigmoid,
    HardSigmoid: F.hardsigmoid,
    HardSwish: F.hardswish,
    Silu: F.silu,
    Tanh: torch.tanh,
    Softplus: lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    Softsign: F.softsign,
    Mish: F.mish,
}


@computes(*_PLAIN)
def plain(op: OpAttrs, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return _PLAIN[type(op)](x)


@computes(Clamp)
def clamp(op: Clamp, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return torch.clamp(x, op.minimum, op.maximum)


@computes(LeakyRelu)
def leaky_relu(op: LeakyRelu, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return F.leaky_relu(x, op.slope)


@computes(PRelu)
def prelu(op: PRelu, x: torch.Tensor, slope: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return torch.where(x > 0, x, x * slope)


@computes(Elu)
def elu(op: Elu, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return F.elu(x, op.alpha)


@computes(Gelu)
def gelu(op: Gelu, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return F.gelu(x, approximate="tanh" if op.approximate else "none")


@computes(Softmax)
def softmax(op: Softmax, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return F.softmax(x, op.axis)


@computes(LogSoftmax)
def log_softmax(op: LogSoftmax, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return F.log_softmax(x, op.axis)
