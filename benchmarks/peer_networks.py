"""The networks that triport is compared with its peers on: plain torch, weights drawn from one seed.

Peers convert them in environments of their own, so this file and what it imports need torch and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from attention_networks import VisionTransformer
from conv_networks import MobileNetV2, ResNet18, UNet, conv_norm
from torch import Tensor, nn
from torch_networks import statistics_like_trained


@dataclass(frozen=True)
class PeerNetwork:
    """A network and an input of it.

    build    makes the module; call it through `made`, so that every environment gets the same weights
    shape    of the only input: [batch, channels, height, width] or [batch, steps, features]
    """

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]

    def made(self) -> nn.Module:
        """The module in eval mode, with norms that do something, as after training."""
        torch.manual_seed(0)
        module = statistics_like_trained(self.build())
        for part in module.modules():
            if isinstance(part, nn.LayerNorm | nn.BatchNorm2d):
                nn.init.uniform_(part.weight, 0.8, 1.2)
                nn.init.normal_(part.bias, 0.0, 0.1)
        return module

    def example(self) -> Tensor:
        return torch.rand(self.shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


class Bottleneck(nn.Module):
    """Three convolutions beside a shortcut, the stride at the middle one (He et al., 2015, arXiv:1512.03385)."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.body = nn.Sequential(
            conv_norm(inputs, width, 1),
            nn.ReLU(),
            conv_norm(width, width, 3, stride),
            nn.ReLU(),
            conv_norm(width, outputs, 1),
        )
        self.shortcut = nn.Identity() if inputs == outputs else conv_norm(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


def resnet_50() -> nn.Module:
    """25.6 million parameters, 102 MB."""
    layers: list[nn.Module] = [conv_norm(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, count in enumerate((3, 4, 6, 3)):
        for index in range(count):
            layers.append(Bottleneck(channels, 64 << stage, 2 if stage and not index else 1))
            channels = 256 << stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


def transformer_encoder() -> nn.Module:
    """torch's own layers: 4 of width 256, 4 heads, 1024 in between."""
    layer = nn.TransformerEncoderLayer(256, 4, 1024, activation="gelu", batch_first=True)
    return nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)


class RecurrentClassifier(nn.Module):
    """Two recurrent layers of 128 units and a classifier of the last step."""

    def __init__(self, kind: type[nn.LSTM] | type[nn.GRU], features: int = 64) -> None:
        super().__init__()
        self.layers = kind(features, 128, num_layers=2, batch_first=True)
        self.head = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.layers(x)[0][:, -1]))


NETWORKS: dict[str, PeerNetwork] = {
    "MobileNetV2": PeerNetwork(MobileNetV2, (1, 3, 224, 224)),
    "ResNet-18": PeerNetwork(ResNet18, (1, 3, 224, 224)),
    "U-Net": PeerNetwork(lambda: UNet(16), (1, 3, 128, 128)),
    "ViT-tiny": PeerNetwork(VisionTransformer, (1, 3, 224, 224)),
    "transformer encoder": PeerNetwork(transformer_encoder, (1, 128, 256)),
    "LSTM classifier": PeerNetwork(lambda: RecurrentClassifier(nn.LSTM), (1, 64, 64)),
    "GRU classifier": PeerNetwork(lambda: RecurrentClassifier(nn.GRU), (1, 64, 64)),
}

LARGE = {"ResNet-50": PeerNetwork(resnet_50, (1, 3, 224, 224))}
"""What converting and capturing are measured with."""
