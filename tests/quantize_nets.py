"""Small networks for the tests of quantization, captured, with samples that calibrate them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

import triport as tp

Samples = npt.NDArray[np.float32]


def captured(module: nn.Module, *shape: int, seed: int = 0, count: int = 64) -> tuple[tp.Graph, Samples]:
    """The graph of a module with one input [batch, *shape], and samples of it."""
    torch.manual_seed(seed)
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -0.4, 0.4)
    module.eval()
    graph = tp.capture(module, {"x": torch.randn(2, *shape)}, dynamic={"x": {0: "batch"}})
    samples = np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)
    return graph, samples


class Named(nn.Module):
    """A module whose input is called x."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.body(x)
        assert isinstance(found, torch.Tensor)
        return found


def conv_net() -> nn.Module:
    """Convolutions with and without stride and groups, a max pool and a head."""
    return Named(
        nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1, groups=8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(48, 5),
        )
    )


def answer(graph: tp.Graph, inputs: Mapping[str, Samples]) -> Samples:
    """What the graph's only output is."""
    (found,) = graph.run(dict(inputs)).values()
    return found.astype(np.float32)


def signal_to_noise(exact: Samples, got: Samples) -> float:
    """Decibels."""
    noise = float(((exact - got).astype(np.float64) ** 2).sum())
    return 10 * float(np.log10((exact.astype(np.float64) ** 2).sum() / noise))
