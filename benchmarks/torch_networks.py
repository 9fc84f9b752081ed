"""The torch networks that the benchmarks measure, each with an example and the sizes that stay free."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from attention_networks import Encoder, Swin, VisionTransformer, mobile_vit
from conv_networks import Heads, MobileNetV2, ResNet18, UNet, conv_next, shuffle_net, squeeze_excite_net
from torch import Tensor, nn


class Recurrent(nn.Module):
    """The last state of an LSTM or GRU says the class."""

    def __init__(self, layer: type[nn.LSTM] | type[nn.GRU], features: int = 16, width: int = 64) -> None:
        super().__init__()
        self.body = layer(features, width, num_layers=2, batch_first=True)
        self.head = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.body(x)[0][:, -1]))


class SequenceHead(nn.Module):
    """Convolutions over time, then a recurrent layer over what they found: [N, C, L] becomes [N, L, C] between."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.Sequential(nn.Conv1d(8, 16, 5, padding=2), nn.BatchNorm1d(16), nn.ReLU(), nn.MaxPool1d(2))
        self.body, self.head = nn.GRU(16, 24, batch_first=True), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.body(self.convs(x).transpose(1, 2))[0].mean(1)))


def conv_1d(channels: int = 16) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(8, channels, 7, padding=3),
        nn.BatchNorm1d(channels),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(channels, 2 * channels, 3, padding=2, dilation=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(2 * channels, 5),
    )


@dataclass(frozen=True)
class Network:
    """A network and what to capture it with.

    build     makes it; the weights are torch's defaults
    example   of batch 1
    dynamic   as `triport.capture` takes it; None: the batch alone is free
    """

    build: Callable[[], nn.Module]
    example: Callable[[], Tensor]
    dynamic: Mapping[str, Mapping[int, str]] | None = field(default=None)


def _image(size: int) -> Callable[[], Tensor]:
    return lambda: torch.randn(1, 3, size, size)


def _signal(channels: int, length: int) -> Callable[[], Tensor]:
    return lambda: torch.randn(1, channels, length)


NETWORKS: dict[str, Network] = {
    "MobileNetV2": Network(MobileNetV2, _image(224)),
    "ResNet-18": Network(ResNet18, _image(224)),
    "U-Net": Network(UNet, _image(128)),
    "squeeze and excite": Network(squeeze_excite_net, _image(32)),
    "ShuffleNet": Network(shuffle_net, _image(32)),
    "ViT-tiny": Network(VisionTransformer, _image(224)),
    "Swin": Network(Swin, _image(32)),
    "ConvNeXt": Network(conv_next, _image(64)),
    "MobileViT": Network(mobile_vit, _image(32)),
    "encoder, 4 layers": Network(Encoder, lambda: torch.randint(0, 1000, (1, 32))),
    "encoder, free length": Network(
        Encoder, lambda: torch.randint(0, 1000, (1, 32)), {"ids": {0: "batch", 1: "length"}}
    ),
    "LSTM": Network(lambda: Recurrent(nn.LSTM), _signal(40, 16)),
    "GRU": Network(lambda: Recurrent(nn.GRU), _signal(40, 16)),
    "Conv1D": Network(conv_1d, _signal(8, 64)),
    "Conv1D and GRU": Network(SequenceHead, _signal(8, 64)),
    "heads": Network(Heads, _image(32)),
}

SMALL: dict[str, Callable[[], nn.Module]] = {
    "MobileNetV2": lambda: MobileNetV2(0.25, 10),
    "ResNet-18": lambda: ResNet18(8, 10),
    "U-Net": lambda: UNet(4),
    "ViT-tiny": lambda: VisionTransformer(32, 8, 24, 2),
    "encoder, 4 layers": lambda: Encoder(50, 24, 2, 4),
    "encoder, free length": lambda: Encoder(50, 24, 2, 4),
}
"""Narrower ones of the large networks, with as many layers: what is counted does not depend on the width."""


def statistics_like_trained(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in eval mode with batch norms that do something: their fresh statistics are 0 and 1."""
    random = torch.Generator().manual_seed(seed)
    for part in module.modules():
        statistics: list[Any] = [getattr(part, "running_mean", None), getattr(part, "running_var", None)]
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d) and statistics[0] is not None:
            nn.init.normal_(statistics[0], 0.0, 0.2, generator=random)
            nn.init.uniform_(statistics[1], 0.7, 1.3, generator=random)
    return module.eval()
