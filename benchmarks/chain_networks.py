"""Blocks whose time goes into arithmetic cell by cell, as they stand in well-known networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from conv_networks import ConvNextBlock
from torch import Tensor, nn

HEADS = 4


class RMSNorm(nn.Module):
    """Written out, as most models have it (Zhang and Sennrich, 2019, arXiv:1910.07467)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(width) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


class LlamaBlock(nn.Module):
    """Rotary attention and a gated layer (Touvron et al., 2023, arXiv:2302.13971)."""

    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        self.before, self.between = RMSNorm(width), RMSNorm(width)
        self.queries_keys_values, self.mixed = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        self.gate, self.up = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, 3 * width, bias=False)
        self.down = nn.Linear(3 * width, width, bias=False)
        each = width // HEADS
        angles = torch.outer(torch.arange(length), 10000 ** (-torch.arange(0, each, 2) / each)).repeat(1, 2)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def rotated(self, x: Tensor) -> Tensor:
        one, other = x.chunk(2, dim=-1)
        turned = torch.cat((-other, one), dim=-1)
        return x * self.get_buffer("cos") + turned * self.get_buffer("sin")

    def forward(self, x: Tensor) -> Tensor:
        heads = [
            part.unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for part in self.queries_keys_values(self.before(x)).chunk(3, dim=-1)
        ]
        y = F.scaled_dot_product_attention(self.rotated(heads[0]), self.rotated(heads[1]), heads[2], is_causal=True)
        x = x + self.mixed(y.transpose(1, 2).flatten(-2))
        y = self.between(x)
        return x + cast(Tensor, self.down(F.silu(self.gate(y)) * self.up(y)))


class SwishGate(nn.Module):
    """Squeeze and excite with x * sigmoid(x) written out (Tan and Le, 2019, arXiv:1905.11946)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.filter = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm = nn.BatchNorm2d(width)
        self.squeezed, self.excited = nn.Conv2d(width, width // 4, 1), nn.Conv2d(width // 4, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = cast(Tensor, self.norm(self.filter(x)))
        y = y * torch.sigmoid(y)
        gate = self.squeezed(y.mean((2, 3), keepdim=True))
        return x + y * torch.sigmoid(self.excited(gate * torch.sigmoid(gate)))


class Pixels(nn.Module):
    """Pixels of 0 to 255 by mean and deviation of their colour, then the first layer of a network."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        self.stem = nn.Conv2d(3, 16, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = (x.clamp(0, 255) / 255 - self.get_buffer("mean")) / self.get_buffer("deviation")
        return F.relu(cast(Tensor, self.stem(x)))


class HandMadeGelu(nn.Module):
    """A layer of GPT-2, whose GELU is written out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.expand, self.project = (
            nn.LayerNorm(width),
            nn.Linear(width, 4 * width),
            nn.Linear(4 * width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = cast(Tensor, self.expand(self.norm(x)))
        y = 0.5 * y * (1.0 + torch.tanh(0.7978845608028654 * (y + 0.044715 * torch.pow(y, 3.0))))
        return x + cast(Tensor, self.project(y))


class Residual(nn.Module):
    """Group norm, x * sigmoid(x) and a convolution, twice: a block of a diffusion model (arXiv:2112.10752)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(8, width) for _ in range(2))
        self.filters = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        y = x
        for norm, filters in zip(self.norms, self.filters, strict=True):
            y = norm(y)
            y = filters(y * torch.sigmoid(y)) + time[:, :, None, None]
        return x + y


class Activations(nn.Module):
    """Only cells: what a chain gains where nothing else takes time."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        x = x * torch.sigmoid(1.702 * x) + y
        return torch.where(x > 0, x, 0.1 * torch.exp(x) - 0.1).clamp(-1, 4) * y


@dataclass(frozen=True)
class Block:
    build: Callable[[], nn.Module]
    examples: Callable[[], tuple[Tensor, ...]]


BLOCKS: dict[str, Block] = {
    "rotary attention, gated layer": Block(lambda: LlamaBlock(256, 64), lambda: (torch.randn(1, 64, 256),)),
    "ConvNeXt": Block(
        lambda: nn.Sequential(ConvNextBlock(64), ConvNextBlock(64)), lambda: (torch.randn(1, 64, 28, 28),)
    ),
    "squeeze and excite, swish": Block(
        lambda: nn.Sequential(SwishGate(64), SwishGate(64)), lambda: (torch.randn(1, 64, 28, 28),)
    ),
    "pixels by mean and deviation": Block(Pixels, lambda: (torch.rand(1, 3, 224, 224) * 255,)),
    "GELU written out": Block(lambda: HandMadeGelu(256), lambda: (torch.randn(1, 64, 256),)),
    "group norm, swish": Block(lambda: Residual(64), lambda: (torch.randn(1, 64, 32, 32), torch.randn(1, 64))),
    "activations alone": Block(Activations, lambda: (torch.randn(1, 64, 1024), torch.randn(1, 64, 1024))),
}
