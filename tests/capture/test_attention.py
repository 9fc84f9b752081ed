"""Attention and torch's transformer layers: as torch computes them, on every port, at any batch and length."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from capture.eager import sample
from capture.ports import assert_ports_agree
from torch import nn

from triport.exporter.capture import capture
from triport.exporter.reference import run_graph

FREE = {0: "batch", 1: "length"}


class Attention(nn.Module):
    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> Any:
        return F.scaled_dot_product_attention(query, key, value, **self.settings)


class Masked(nn.Module):
    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor) -> Any:
        return F.scaled_dot_product_attention(query, key, value, mask)


class Itself(nn.Module):
    """Self-attention by nn.MultiheadAttention."""

    def __init__(self, weights: bool = False, **settings: Any) -> None:
        super().__init__()
        self.attention, self.weights = nn.MultiheadAttention(8, 2, **settings), weights

    def forward(self, x: torch.Tensor) -> Any:
        y, weights = self.attention(x, x, x, need_weights=self.weights)
        return (y, weights) if self.weights else y


class Causal(nn.Module):
    """An encoder with its mask held in a buffer and the padding given by the caller."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.register_buffer("mask", torch.triu(torch.ones(5, 5, dtype=torch.bool), 1))

    def forward(self, x: torch.Tensor, padding: torch.Tensor) -> Any:
        return self.encoder(x, self.mask, padding)


class Padded(nn.Module):
    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: torch.Tensor, padding: torch.Tensor) -> Any:
        return self.encoder(x, src_key_padding_mask=padding)


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)

    def forward(self, x: torch.Tensor, memory: torch.Tensor) -> Any:
        return self.layer(x, memory)


def _heads(batch: int, length: int, keys: int, shared: int = 4) -> list[torch.Tensor]:
    return [sample(batch, 4, length, 8), sample(batch, shared, keys, 8), sample(batch, shared, keys, 6)]


PLAIN: dict[str, dict[str, Any]] = {
    "plain": {},
    "scaled": {"scale": 0.3},
    "causal": {"is_causal": True},
    "grouped": {"enable_gqa": True},
    "grouped causal": {"enable_gqa": True, "is_causal": True},
}


@pytest.mark.parametrize("name", PLAIN)
def test_attention_of_free_lengths(name: str, tmp_path: Path) -> None:
    shared = 2 if "grouped" in name else 4
    others = [_heads(n, length, keys, shared) for n, length, keys in ((1, 1, 1), (7, 6, 4), (2, 4, 9))]
    free = {0: "batch", 2: "keys"}
    dynamic = {"query": {0: "batch", 2: "length"}, "key": free, "value": free}
    assert_ports_agree(tmp_path, Attention(**PLAIN[name]), _heads(2, 3, 5, shared), dynamic, others)


@pytest.mark.parametrize("name", ["causal", "grouped causal"])
def test_attention_of_fixed_lengths(name: str, tmp_path: Path) -> None:
    assert_ports_agree(tmp_path, Attention(**PLAIN[name]), _heads(2, 3, 5, 2 if "grouped" in name else 4))


@pytest.mark.parametrize("dtype", ["bool", "float"])
def test_a_query_that_may_look_nowhere_is_answered_with_zeros(dtype: str, tmp_path: Path) -> None:
    mask = sample(2, 1, 3, 5) > 0
    mask[0, 0, 1] = False
    if dtype == "float":
        mask = torch.where(mask, sample(2, 1, 3, 5, seed=1), -math.inf)
    dynamic = {name: {0: "batch"} for name in ("query", "key", "value", "mask")}
    assert_ports_agree(tmp_path, Masked(), [*_heads(2, 3, 5), mask], dynamic)


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "multi-head": lambda: Itself(batch_first=True),
    "multi-head with its weights": lambda: Itself(weights=True, batch_first=True),
    "multi-head, time first": lambda: Itself(weights=True),
    "multi-head with added keys": lambda: Itself(batch_first=True, add_bias_kv=True, add_zero_attn=True),
    "encoder": lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer_of_free_batch_and_length(name: str, tmp_path: Path) -> None:
    module = LAYERS[name]()
    (given,) = (n for n in ("x", "src") if n in module.forward.__code__.co_varnames[1:2])
    others = [[sample(1, 1, 8)], [sample(7, 3, 8)], [sample(2, 9, 8)]]
    assert_ports_agree(tmp_path, module, [sample(2, 5, 8)], {given: FREE}, others)


def test_encoder_under_a_causal_mask_and_padding(tmp_path: Path) -> None:
    padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    dynamic = {"x": {0: "batch"}, "padding": {0: "batch"}}
    assert_ports_agree(tmp_path, Causal(), [sample(2, 5, 8), padding], dynamic)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_where_torch_skips_what_is_padded_the_graph_says_so(tmp_path: Path) -> None:
    """torch's fused encoder answers 0 in padded places, the same encoder in training does not."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    module = Padded(nn.TransformerEncoder(layer, 1)).eval()
    padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    graph = capture(module, [sample(2, 5, 8), padding])
    (notice,) = graph.notices
    assert "in places that a padding mask pads" in notice
    trained = module(sample(2, 5, 8), padding).detach().numpy()
    told = run_graph(graph, {"x": sample(2, 5, 8).numpy(), "padding": padding.numpy()})["output"]
    assert np.abs(told.astype(np.float64) - trained).max() < 1e-5
    assert not capture(module, [sample(2, 5, 8), torch.zeros(2, 5, dtype=torch.bool)]).notices


def test_decoder_of_two_free_lengths(tmp_path: Path) -> None:
    dynamic = {"x": FREE, "memory": {0: "batch", 1: "remembered"}}
    others = [[sample(1, 2, 8), sample(1, 6, 8)]]
    assert_ports_agree(tmp_path, Decoder(), [sample(2, 5, 8), sample(2, 3, 8)], dynamic, others)


def test_torch_computes_its_layers_fast_again_after_an_export() -> None:
    before = torch.backends.mha.get_fastpath_enabled()
    detect = torch.nn.modules.transformer._detect_is_causal_mask
    assert_ports_agree(Path(), Itself(batch_first=True), [sample(2, 5, 8)], ports=())
    assert torch.backends.mha.get_fastpath_enabled() is before
    assert torch.nn.modules.transformer._detect_is_causal_mask is detect
