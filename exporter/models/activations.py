"""The activations Keras knows by name, as torch functions."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import UsageError
from .structure import user_source

Activation = Callable[[Tensor], Tensor]


def linear(x: Tensor) -> Tensor:
    """x itself."""
    return x


def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """max(x, 0) + negative_slope·min(x, 0). As in Keras the slope is 0.2 by name and 0.3 in the layer ``LeakyReLU``."""
    return F.leaky_relu(x, negative_slope)


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along ``axis``."""
    return F.softmax(x, dim=axis)


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """x - log(sum(exp(x))) along ``axis``."""
    return F.log_softmax(x, dim=axis)


KNOWN: dict[str, Activation] = {
    "linear": linear,
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": leaky_relu,
    "elu": F.elu,
    "selu": F.selu,
    "gelu": F.gelu,
    "silu": F.silu,
    "swish": F.silu,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": F.hardsigmoid,
    "hard_silu": F.hardswish,
    "hard_swish": F.hardswish,
    "tanh": torch.tanh,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "exponential": torch.exp,
    "mish": F.mish,
}
"""Every name that ``activation=`` accepts."""

_ALSO: dict[Activation, str] = {
    torch.relu: "relu",
    F.sigmoid: "sigmoid",
    F.tanh: "tanh",
    torch.selu: "selu",
}


def get(identifier: str | Activation | None) -> Activation:
    """The function for a name, None (linear) or a callable. Raises UsageError TP016 for an unknown name."""
    if identifier is None:
        return linear
    if callable(identifier):
        return identifier
    if identifier not in KNOWN:
        raise UsageError(
            "TP016", f"activation {identifier!r} is not known", at=user_source(), help=f"use one of: {', '.join(KNOWN)}"
        )
    return KNOWN[identifier]


def name_of(function: Activation) -> str | None:
    """The name a config can carry; None for a function of the user's own."""
    for name, known in KNOWN.items():
        if function is known:
            return name
    return _ALSO.get(function)


def __getattr__(name: str) -> Activation:
    if name in KNOWN:
        return KNOWN[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Activation", "get", "leaky_relu", "linear", "log_softmax", "name_of", "softmax"]
