"""Sequences without the steps that a mask leaves out, for layers that go through them in order."""

from __future__ import annotations

import torch
from torch import Tensor


class Compacted:
    """Sequences with the steps that count moved to the front, in their order.

    A recurrent layer that skips steps answers there what it answers on the steps that count alone, so it may run on
    those, and fused kernels need no mask. Moves are products with matrices of zeros and ones: exact, and known to every
    port.

    mask  [batch, steps]
    """

    def __init__(self, mask: Tensor) -> None:
        self.counts = mask.to(torch.float32)
        so_far = self.counts.cumsum(1)
        self.total = so_far[:, -1:]
        positions = torch.arange(mask.shape[1], device=mask.device).to(torch.float32)
        self.positions = positions
        # [batch, steps, place]: 1 where a step's own place, or that of the last one before it that counts, is.
        self.places = (so_far.unsqueeze(-1) - 1 == positions).to(torch.float32)

    def pack(self, x: Tensor) -> Tensor:
        """x [batch, steps, features] with the steps that count first and zeros behind them."""
        return torch.matmul((self.places * self.counts.unsqueeze(-1)).transpose(1, 2), x)

    def unpack(self, y: Tensor, zero: bool) -> Tensor:
        """Outputs back at their steps; between them the last one before, or zero. Before the first one: zero."""
        return torch.matmul(self.places * self.counts.unsqueeze(-1) if zero else self.places, y)

    def last(self, y: Tensor, start: Tensor) -> Tensor:
        """[batch, units]: y at the last step that counts; ``start`` where none does."""
        row = self.places[:, -1:]
        empty = (self.total == 0).to(y.dtype)
        return torch.matmul(row, y).squeeze(1) + start * empty

    def padding(self) -> Tensor:
        """[batch, steps]: 1 behind the last step that counts."""
        return (self.positions >= self.total).to(torch.float32)
