"""Networks with attention as people write them in torch; random weights, narrow on request."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from conv_networks import conv_norm
from torch import Tensor, nn


class Attention(nn.Module):
    """Self-attention with one projection for queries, keys and values, as vision transformers write it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(x).reshape(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return cast(Tensor, self.project(y.transpose(1, 2).reshape(batch, length, width)))


class Block(nn.Module):
    """Attention and two dense layers, each with a norm before and a sum after."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.dense = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm(x))
        return cast(Tensor, x + self.dense(x))


class VisionTransformer(nn.Module):
    """ViT-tiny (Dosovitskiy et al., 2020, arXiv:2010.11929; the sizes are DeiT-tiny's)."""

    def __init__(self, image: int = 224, patch: int = 16, width: int = 192, depth: int = 12, heads: int = 3) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.position = nn.Parameter(torch.randn(1, (image // patch) ** 2 + 1, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.position
        return cast(Tensor, self.head(self.norm(self.blocks(x))[:, 0]))


class WindowBlock(nn.Module):
    """Attention within windows of a map in channels last, shifted by half a window in every second block (Swin)."""

    def __init__(self, width: int, heads: int, size: int, window: int, shift: int) -> None:
        super().__init__()
        self.size, self.window, self.shift, self.heads = size, window, shift, heads
        self.norm, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.dense = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.bias = nn.Parameter(torch.randn(1, heads, window**2, window**2) * 0.02)

    def forward(self, x: Tensor) -> Tensor:
        window, count = self.window, self.size // self.window
        batch, height, width, channels = x.shape
        y = self.norm(x)
        if self.shift:
            y = torch.roll(y, (-self.shift, -self.shift), (1, 2))
        y = y.view(batch, count, window, count, window, channels).permute(0, 1, 3, 2, 4, 5)
        y = self.attention(y.reshape(-1, window**2, channels), self.bias)
        y = y.view(batch, count, count, window, window, channels).permute(0, 1, 3, 2, 4, 5)
        y = y.reshape(batch, height, width, channels)
        if self.shift:
            y = torch.roll(y, (self.shift, self.shift), (1, 2))
        x = x + y
        return cast(Tensor, x + self.dense(x))


class PatchMerging(nn.Module):
    """Four neighbours become one cell of twice the channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.reduce = nn.LayerNorm(4 * width), nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        parts = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
        return cast(Tensor, self.reduce(self.norm(torch.cat(parts, dim=-1))))


class Swin(nn.Module):
    """Liu et al., 2021 (arXiv:2103.14030), without the masks at the border."""

    def __init__(self, image: int = 32, width: int = 24, window: int = 4) -> None:
        super().__init__()
        size = image // 2
        self.patches, self.norm = nn.Conv2d(3, width, 2, 2), nn.LayerNorm(width)
        self.body = nn.Sequential(
            WindowBlock(width, 3, size, window, 0),
            WindowBlock(width, 3, size, window, window // 2),
            PatchMerging(width),
            WindowBlock(2 * width, 6, size // 2, window, 0),
            nn.LayerNorm(2 * width),
        )
        self.head = nn.Linear(2 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.patches(x).permute(0, 2, 3, 1))
        x = self.body(x).permute(0, 3, 1, 2)
        return cast(Tensor, self.head(F.adaptive_avg_pool2d(x, 1).flatten(1)))


class MobileVitBlock(nn.Module):
    """Attention among cells that stand at the same place of their patches (Mehta et al., 2021, arXiv:2110.02178)."""

    def __init__(self, channels: int, width: int, patch: int = 2) -> None:
        super().__init__()
        self.patch = patch
        self.local = nn.Sequential(conv_norm(channels, channels), nn.SiLU(), nn.Conv2d(channels, width, 1, bias=False))
        self.blocks = nn.Sequential(Block(width, 2), Block(width, 2), nn.LayerNorm(width))
        self.project = nn.Sequential(conv_norm(width, channels, 1), nn.SiLU())
        self.fuse = nn.Sequential(conv_norm(2 * channels, channels), nn.SiLU())

    def forward(self, x: Tensor) -> Tensor:
        y, p = self.local(x), self.patch
        batch, width, rows, columns = y.shape
        down, across = rows // p, columns // p
        y = y.reshape(batch * width * down, p, across, p).transpose(1, 2)
        y = y.reshape(batch, width, down * across, p * p).transpose(1, 3).reshape(batch * p * p, down * across, width)
        y = self.blocks(y)
        y = y.view(batch, p * p, down * across, width).transpose(1, 3)
        y = y.reshape(batch * width * down, across, p, p).transpose(1, 2).reshape(batch, width, rows, columns)
        return cast(Tensor, self.fuse(torch.cat([x, self.project(y)], dim=1)))


def mobile_vit(channels: int = 16, width: int = 24) -> nn.Module:
    return nn.Sequential(
        conv_norm(3, channels, 3, 2),
        nn.SiLU(),
        MobileVitBlock(channels, width),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, 10),
    )


class Encoder(nn.Module):
    """Torch's own transformer encoder over words."""

    def __init__(self, words: int = 1000, width: int = 128, heads: int = 4, depth: int = 4) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width)
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, batch_first=True)
        self.body = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, ids: Tensor) -> Tensor:
        return cast(Tensor, self.head(self.body(self.embed(ids)).mean(1)))
