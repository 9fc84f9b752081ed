"""Between Keras's order of axes (channels last) and torch's (channels second). Views only, no copies."""

from __future__ import annotations

from torch import Tensor


def to_channels_first(x: Tensor) -> Tensor:
    """[batch, ..., channels] → [batch, channels, ...]."""
    return x.permute(0, x.ndim - 1, *range(1, x.ndim - 1))


def to_channels_last(x: Tensor) -> Tensor:
    """[batch, channels, ...] → [batch, ..., channels]."""
    return x.permute(0, *range(2, x.ndim), 1)
