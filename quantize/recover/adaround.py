"""Rounds each weight up or down so that a layer's outputs stay, instead of the weight (AdaRound, Nagel et al. 2020).

The choice is a rectified sigmoid, found by gradient descent on the squared difference of the outputs and pushed
towards 0 and 1 by a term that sharpens.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...exporter.graph import Array, Node
from ...exporter.ops import Conv, Layout
from ..weights import Filters

if TYPE_CHECKING:
    from torch import Tensor

STEPS = 400
RATE = 1e-2
ROWS_A_STEP = 256
PUSH = 0.02
"""Weight of the term that makes every choice one of up and down."""
_STRETCH = (-0.1, 1.1)
"""The rectified sigmoid reaches 0 and 1 (Louizos et al. 2018)."""


def rounded_for_outputs(node: Node, made: Filters, rows: Array) -> Filters:
    """AdaRound: the choice between rounding down and up that keeps rows · weights, found by gradient descent."""
    import torch

    weight = node.inputs[1].array().astype(np.float64)
    if isinstance(node.op, Conv) and node.op.layout is Layout.CHANNELS_LAST:
        weight = np.moveaxis(weight, -1, 1)
    shape = weight.shape
    scale = made.scale.astype(np.float64)[:, None]
    steps = weight.reshape(shape[0], -1) / scale
    low = np.floor(steps)
    x = torch.from_numpy(np.ascontiguousarray(rows, np.float32))
    exact, floor, by = (torch.from_numpy(a).to(torch.float32) for a in (steps, low, scale))
    below, above = _STRETCH
    share = (exact - floor).clamp(0.01, 0.99)
    choice = torch.log((share - below) / (above - share)).requires_grad_()
    optimizer = torch.optim.Adam([choice], lr=RATE)
    generator = torch.Generator().manual_seed(0)
    for step in range(STEPS):
        picked = torch.randint(0, len(x), (min(ROWS_A_STEP, len(x)),), generator=generator)
        up = (torch.sigmoid(choice) * (above - below) + below).clamp(0, 1)
        difference = _product(x[picked], (floor + up - exact) * by, rows.shape[1] > 1)
        loss = difference.square().mean() / (_power(x, exact * by, rows.shape[1] > 1) + 1e-12)
        sharp = 20 - 18 * max(0.0, step / STEPS - 0.2) / 0.8
        if step > STEPS * 0.2:
            loss = loss + PUSH * (1 - (2 * up - 1).abs().pow(sharp)).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    chosen = low + (torch.sigmoid(choice.detach()) * (above - below) + below > 0.5).numpy()
    codes = np.clip(chosen, -made.largest, made.largest).astype(np.int8).reshape(shape)
    if isinstance(node.op, Conv) and node.op.layout is Layout.CHANNELS_LAST:
        codes = np.ascontiguousarray(np.moveaxis(codes, 1, -1))
    return replace(made, codes=codes)


def _product(rows: Tensor, weight: Tensor, depthwise: bool) -> Tensor:
    """rows [n, groups or 1, cells] times filters [O, cells]  →  [n, O]"""
    return (rows * weight).sum(-1) if depthwise else rows[:, 0] @ weight.T


def _power(rows: Tensor, weight: Tensor, depthwise: bool) -> Tensor:
    """Mean square of the layer's outputs, against which a difference is small or large."""
    return _product(rows, weight, depthwise).square().mean()
