"""Convolutional networks as people write them in torch; random weights, narrow on request."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_norm(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution that keeps the size, and its batch norm."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project (MobileNetV2)."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.adds = stride == 1 and inputs == outputs
        expand = [conv_norm(inputs, inner, 1), nn.ReLU6()] if expansion != 1 else []
        self.body = nn.Sequential(
            *expand, conv_norm(inner, inner, 3, stride, inner), nn.ReLU6(), conv_norm(inner, outputs, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, x + self.body(x) if self.adds else self.body(x))


class MobileNetV2(nn.Module):
    """Sandler et al., 2018 (arXiv:1801.04381), table 2."""

    STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))

    def __init__(self, width: float = 1.0, classes: int = 1000) -> None:
        super().__init__()
        channels = max(8, int(32 * width))
        blocks: list[nn.Module] = [conv_norm(3, channels, 3, 2), nn.ReLU6()]
        for expansion, outputs, count, stride in self.STAGES:
            for index in range(count):
                wide = max(8, int(outputs * width))
                blocks.append(InvertedResidual(channels, wide, stride if index == 0 else 1, expansion))
                channels = wide
        last = max(16, int(1280 * width))
        self.features = nn.Sequential(*blocks, conv_norm(channels, last, 1), nn.ReLU6())
        self.head = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.adaptive_avg_pool2d(self.features(x), 1)
        return cast(Tensor, self.head(torch.flatten(x, 1)))


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut (He et al., 2015, arXiv:1512.03385)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv_norm(inputs, outputs, 3, stride), nn.ReLU(), conv_norm(outputs, outputs))
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else conv_norm(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


class ResNet18(nn.Module):
    def __init__(self, width: int = 64, classes: int = 1000) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        channels = width
        for stage in range(4):
            for index in range(2):
                blocks.append(BasicBlock(channels, width << stage, 2 if stage and index == 0 else 1))
                channels = width << stage
        self.stem = nn.Sequential(conv_norm(3, width, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.blocks = nn.Sequential(*blocks)
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.pool(self.blocks(self.stem(x))).flatten(1)))


class UNet(nn.Module):
    """Ronneberger et al., 2015 (arXiv:1505.04597): every level of the way down is a skip connection of the way up."""

    def __init__(self, width: int = 32, levels: int = 4, classes: int = 2) -> None:
        super().__init__()
        sizes = [width << level for level in range(levels + 1)]
        self.down = nn.ModuleList(self._block(3 if i == 0 else sizes[i - 1], sizes[i]) for i in range(levels + 1))
        self.up = nn.ModuleList(nn.ConvTranspose2d(sizes[i + 1], sizes[i], 2, 2) for i in range(levels))
        self.merge = nn.ModuleList(self._block(2 * sizes[i], sizes[i]) for i in range(levels))
        self.head = nn.Conv2d(width, classes, 1)

    @staticmethod
    def _block(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(conv_norm(inputs, outputs), nn.ReLU(), conv_norm(outputs, outputs), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for block in self.down:
            x = block(F.max_pool2d(x, 2) if skips else x)
            skips.append(x)
        for level in reversed(range(len(self.up))):
            x = self.merge[level](torch.cat([skips[level], self.up[level](x)], dim=1))
        return cast(Tensor, self.head(x))


class SqueezeExcite(nn.Module):
    """Channels weighed by what their mean says (Hu et al., 2017, arXiv:1709.01507).

    dense   by linear layers on [batch, channels], as the paper's authors wrote it; else by 1x1 convolutions
    """

    def __init__(self, channels: int, dense: bool) -> None:
        super().__init__()
        inner = channels // 4
        self.dense = dense
        self.squeeze = nn.Linear(channels, inner) if dense else nn.Conv2d(channels, inner, 1)
        self.excite = nn.Linear(inner, channels) if dense else nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        scale = F.adaptive_avg_pool2d(x, 1)
        scale = scale.view(scale.shape[0], -1) if self.dense else scale
        scale = torch.sigmoid(self.excite(F.silu(self.squeeze(scale))))
        return x * (scale.view(*scale.shape, 1, 1) if self.dense else scale)


def squeeze_excite_net(width: int = 16) -> nn.Module:
    return nn.Sequential(
        conv_norm(3, width, 3, 2),
        nn.Hardswish(),
        SqueezeExcite(width, dense=True),
        conv_norm(width, 2 * width, 3, 2),
        nn.SiLU(),
        SqueezeExcite(2 * width, dense=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * width, 10),
    )


class ShuffleUnit(nn.Module):
    """Half of the channels pass, the other half is filtered, and both are mixed (Ma et al., 2018, arXiv:1807.11164)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.body = nn.Sequential(
            conv_norm(half, half, 1), nn.ReLU(), conv_norm(half, half, 3, 1, half), conv_norm(half, half, 1), nn.ReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        kept, filtered = x.chunk(2, dim=1)
        x = torch.cat([kept, self.body(filtered)], dim=1)
        batch, channels, height, width = x.shape
        return x.view(batch, 2, channels // 2, height, width).transpose(1, 2).contiguous().view(x.shape)


def shuffle_net(width: int = 24, units: int = 3) -> nn.Module:
    return nn.Sequential(
        conv_norm(3, width, 3, 2),
        nn.ReLU(),
        *(ShuffleUnit(width) for _ in range(units)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, 10),
    )


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of a map in channels first."""

    def forward(self, x: Tensor) -> Tensor:
        y = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return y.permute(0, 3, 1, 2)


class ConvNextBlock(nn.Module):
    """A wide depthwise convolution, then dense layers along the channels (Liu et al., 2022, arXiv:2201.03545)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.filter, self.norm = nn.Conv2d(width, width, 7, padding=3, groups=width), nn.LayerNorm(width)
        self.expand, self.project = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        y = self.filter(x).permute(0, 2, 3, 1)
        y = self.project(F.gelu(self.expand(self.norm(y)))) * self.scale
        return x + y.permute(0, 3, 1, 2)


def conv_next(width: int = 16) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, width, 4, 4),
        LayerNorm2d(width),
        ConvNextBlock(width),
        ConvNextBlock(width),
        LayerNorm2d(width),
        nn.Conv2d(width, 2 * width, 2, 2),
        ConvNextBlock(2 * width),
        nn.AdaptiveAvgPool2d(1),
        LayerNorm2d(2 * width),
        nn.Flatten(),
        nn.Linear(2 * width, 10),
    )


class Heads(nn.Module):
    """The ways in which classifiers leave the map: squeezed, flattened whole, pooled to a few cells, averaged."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_norm(3, width, 3, 2), nn.ReLU())
        self.squeezed, self.flat = nn.Linear(width, 3), nn.Linear(width * 16 * 16, 3)
        self.cells, self.mean, self.point = nn.Linear(width * 4, 3), nn.Linear(2 * width, 3), nn.Conv2d(width, 3, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.stem(x)
        return {
            "squeezed": self.squeezed(F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1)),
            "flat": self.flat(x.flatten(1)),
            "cells": self.cells(F.adaptive_max_pool2d(x, 2).flatten(1)),
            "mean": self.mean(torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)),
            "point": F.adaptive_avg_pool2d(self.point(x), 1).flatten(1),
        }
