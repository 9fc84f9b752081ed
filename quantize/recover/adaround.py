"""Rounds each weight up or down so that a layer's outputs stay, instead of the weight (AdaRound, Nagel et al. 2020).

The choice is a rectified sigmoid, found by gradient descent on the squared difference of the outputs and pushed
towards 0 and 1 by a term that sharpens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...exporter.graph import Array

if TYPE_CHECKING:
    from torch import Tensor

Floats = npt.NDArray[np.float64]

STEPS = 400
RATE = 1e-2
ROWS_A_STEP = 256
PUSH = 0.02
"""Weight of the term that makes every choice one of up and down."""
_STRETCH = (-0.1, 1.1)
"""The rectified sigmoid reaches 0 and 1 (Louizos et al. 2018)."""


def adaround(weights: Floats, steps: Floats, rows: Array, least: int, most: int) -> Floats:
    """Codes least … most of ``weights`` [groups, filters, cells], in ``steps`` of the same shape.

    rows   what each group's filters multiply, [rows, groups, cells]
    """
    import torch

    with torch.enable_grad():  # whoever asks may compute without
        return _learned(weights, steps, rows, least, most)


def _learned(weights: Floats, steps: Floats, rows: Array, least: int, most: int) -> Floats:
    import torch

    ratio = weights / steps
    low = np.clip(np.floor(ratio), least, most - 1)
    x = torch.from_numpy(np.ascontiguousarray(rows, np.float32))
    exact, floor, by = (torch.from_numpy(np.ascontiguousarray(a)).to(torch.float32) for a in (ratio, low, steps))
    below, above = _STRETCH
    share = (exact - floor).clamp(0.01, 0.99)
    choice = torch.log((share - below) / (above - share)).requires_grad_()
    optimizer = torch.optim.Adam([choice], lr=RATE)
    generator = torch.Generator().manual_seed(0)
    power = _product(x, exact * by).square().mean() + 1e-12
    for step in range(STEPS):
        picked = torch.randint(0, len(x), (min(ROWS_A_STEP, len(x)),), generator=generator)
        up = (torch.sigmoid(choice) * (above - below) + below).clamp(0, 1)
        loss = _product(x[picked], (floor + up - exact) * by).square().mean() / power
        sharp = 20 - 18 * max(0.0, step / STEPS - 0.2) / 0.8
        if step > STEPS * 0.2:
            loss = loss + PUSH * (1 - (2 * up - 1).abs().pow(sharp)).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return np.asarray(low + (torch.sigmoid(choice.detach()) * (above - below) + below > 0.5).numpy(), np.float64)


def _product(rows: Tensor, weights: Tensor) -> Tensor:
    """rows [n, groups, cells] times filters [groups, filters, cells]  →  [groups, n, filters]"""
    return rows.transpose(0, 1) @ weights.transpose(1, 2)
