"""Attention as one kernel call: torch's own, captured, on both kernel files against float64."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from web_in_wasmtime import FILES, Kernels

import triport
from triport.exporter.graph import Array, DType, Graph, Sym, TensorType
from triport.exporter.ops import MatMul, Softmax, Transpose
from triport.runtime_checks.tolerance import CLOSE
from triport.targets.prepare import prepare
from triport.targets.web import WebTarget
from triport.targets.web.target import make_plan


class Heads(nn.Module):
    """Attention as layers write it: [batch, length, heads * width] is split, turned, and put together again."""

    def __init__(self, mask: Tensor | None = None, *, causal: bool = False) -> None:
        super().__init__()
        self.causal = causal
        self.register_buffer("mask", mask)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        q, k, v = (x.reshape(*x.shape[:-1], HEADS, -1).transpose(1, 2) for x in (query, key, value))
        mask = self.get_buffer("mask") if self.mask is not None else None
        mask = mask.to(query.dtype) if mask is not None and mask.is_floating_point() else mask
        y = F.scaled_dot_product_attention(q, k, v, mask, is_causal=self.causal)
        return y.transpose(1, 2).flatten(2)


def mask_of(kind: str, queries: int, keys: int) -> Tensor | None:
    torch.manual_seed(3)
    if kind == "bool":
        return (torch.rand(queries, keys) > 0.4) | (torch.arange(keys) == 0)
    if kind == "bias":
        return torch.randn(1, HEADS, queries, keys)
    if kind == "padding":
        return torch.where(torch.arange(keys) < keys - 2, 0.0, -torch.inf).reshape(1, 1, 1, keys)
    if kind == "later keys":
        return nn.Transformer.generate_square_subsequent_mask(max(queries, keys))[:queries, :keys].clone()
    if kind == "nothing seen":
        return torch.zeros(queries, keys, dtype=torch.bool)
    if kind == "some rows see nothing":
        return (torch.arange(queries) % 3 > 0).unsqueeze(1).repeat(1, keys)
    return None


Both = dict[str, Kernels]
HEADS = 2
SHAPES = {
    "one token": (1, 1, 8, 8),
    "odd": (5, 7, 5, 3),
    "65 tokens": (65, 65, 16, 16),
    "over a block of keys": (9, 131, 4, 12),
    "longer keys": (6, 20, 8, 8),
    "fewer keys than queries": (20, 6, 8, 8),
}
"""queries, keys, width of a head, width of a value"""


def assert_near(got: Array, expected: Array, bound: float) -> None:
    assert got.shape == expected.shape
    assert np.abs(np.asarray(got, np.float64) - np.asarray(expected, np.float64)).max() <= bound


def calls(graph: Graph) -> list[str]:
    return [call.kernel for call in make_plan(prepare(graph, WebTarget())).calls]


@pytest.fixture(scope="module")
def kernels() -> Both:
    return {file: Kernels(file) for file in FILES}


def check(kernels: Both, shape: str, mask: str = "", *, causal: bool = False) -> list[str]:
    queries, keys, depth, width = SHAPES[shape]
    model = Heads(mask_of(mask, queries, keys), causal=causal)
    torch.manual_seed(1)
    sizes = {"query": (queries, depth), "key": (keys, depth), "value": (keys, width)}
    inputs = {name: torch.randn(2, rows, HEADS * cells) for name, (rows, cells) in sizes.items()}
    return compare(kernels, model, inputs)


def compare(kernels: Both, model: nn.Module, inputs: dict[str, Tensor]) -> list[str]:
    """Compares both kernel files with torch in float64 and returns the kernels that ran."""
    graph = triport.capture(model, tuple(inputs.values()))
    expected = model(*(x.double() for x in inputs.values())).numpy()
    bound = CLOSE.range_share * float(np.abs(expected).max()) + 1e-7
    for file in FILES:
        got = kernels[file].run(graph, {name: x.numpy() for name, x in inputs.items()})["output"]
        assert_near(got, expected, bound)
    return calls(graph)


@pytest.mark.parametrize("shape", SHAPES)
def test_attention_is_one_call_that_reads_heads_where_they_stand(shape: str, kernels: Both) -> None:
    ran = check(kernels, shape)
    assert ran[-1] == "attention" and not {"softmax", "matmul", "copy_4"} & set(ran)


@pytest.mark.parametrize("mask", ["bool", "bias", "padding"])
@pytest.mark.parametrize("shape", ["odd", "over a block of keys"])
def test_masks_of_every_kind(mask: str, shape: str, kernels: Both) -> None:
    ran = check(kernels, shape, mask)
    assert "attention" in ran and not {"softmax", "matmul", "copy_4"} & set(ran)


@pytest.mark.parametrize("shape", ["odd", "65 tokens", "longer keys", "fewer keys than queries"])
@pytest.mark.parametrize("mask", ["", "later keys"])
def test_causal_attention_needs_no_mask_in_memory(mask: str, shape: str, kernels: Both) -> None:
    assert check(kernels, shape, mask, causal=not mask)[-1:] == ["attention"]


@pytest.mark.parametrize("fill", [0.0, -10.0, -1e4, -3e38, -torch.inf])
def test_later_keys_weigh_what_is_filled_in(fill: float, kernels: Both) -> None:
    class Filled(nn.Module):
        def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            scores = q @ k.transpose(-1, -2)
            rows = torch.arange(scores.shape[-1])
            return torch.softmax(torch.where(rows[None] <= rows[:, None], scores, fill), -1) @ v

    torch.manual_seed(2)
    inputs = {name: torch.randn(1, 2, 20, 8) for name in "qkv"}
    assert compare(kernels, Filled(), inputs)[-1:] == ["attention"]


@pytest.mark.parametrize("mask", ["nothing seen", "some rows see nothing"])
def test_rows_that_see_nothing_answer_as_torch_does(mask: str, kernels: Both) -> None:
    assert "attention" in check(kernels, "odd", mask)


class Grouped(nn.Module):
    """Four heads of queries, two of keys and values."""

    def __init__(self, causal: bool) -> None:
        super().__init__()
        self.causal = causal

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        q, k, v = (x.reshape(*x.shape[:-1], -1, 5).transpose(1, 2) for x in (query, key, value))
        return (
            F.scaled_dot_product_attention(q, k, v, is_causal=self.causal, enable_gqa=True).transpose(1, 2).flatten(2)
        )


@pytest.mark.parametrize("causal", [False, True])
def test_grouped_heads_share_keys_without_copies(causal: bool, kernels: Both) -> None:
    torch.manual_seed(1)
    inputs = {"query": torch.randn(2, 6, 20), "key": torch.randn(2, 7, 10), "value": torch.randn(2, 7, 10)}
    assert compare(kernels, Grouped(causal), inputs) == ["attention"]


def test_free_lengths_share_one_plan(kernels: Both) -> None:
    torch.manual_seed(1)
    layer = nn.TransformerEncoderLayer(12, 2, 24, batch_first=True).eval()
    graph = triport.capture(Causal(layer), (torch.randn(2, 6, 12),), dynamic={"x": {0: "batch", 1: "length"}})
    assert not {"softmax", "copy_4", "iota"} & set(calls(graph))
    for length in (1, 9, 140):
        x = torch.randn(1, length, 12)
        got = kernels[FILES[1]].run(graph, {"x": x.numpy()})["output"]
        assert_near(got, Causal(layer)(x).detach().numpy(), 2e-5)


class Causal(nn.Module):
    """An encoder layer in which nothing looks ahead."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        return cast(Tensor, self.layer(x, src_mask=mask, is_causal=True))


def plain(*, scores_out: bool = False, axis: int = 3, seen_twice: bool = False) -> Graph:
    """softmax(q kᵀ) v by hand."""
    graph = Graph("attention")
    batch = Sym.named("batch")
    q, k, v = (graph.add_input(name, TensorType(DType.FLOAT32, (batch, 2, 6, 6))) for name in "qkv")
    scores = graph.add(MatMul(transpose_b=True), q, k)
    weights = graph.add(Softmax(axis), scores)
    turned = graph.add(Transpose((0, 1, 3, 2)), graph.add(MatMul(), weights, v))
    graph.set_output("y", turned)
    if scores_out:
        graph.set_output("scores", scores)
    if seen_twice:
        graph.set_output("z", graph.add(MatMul(), weights, q))
    return graph


@pytest.mark.parametrize("file", FILES)
def test_scores_below_every_number_are_no_number(file: str, kernels: Both) -> None:
    """As a softmax over a row of -inf alone has it; other rows do not notice."""
    q, k = np.ones((1, 2, 6, 6), np.float32), np.ones((1, 2, 6, 6), np.float32)
    q[0, 0, 2] = np.inf
    got = kernels[file].run(plain(), {"q": q, "k": -k, "v": k})["y"]
    assert calls(plain()).count("attention") == 1
    assert np.isnan(got[0, 0, :, 2]).all() and np.isnan(got).sum() == 6


@pytest.mark.parametrize("graph", [plain(scores_out=True), plain(axis=2), plain(seen_twice=True)])
def test_what_somebody_else_reads_is_computed_step_by_step(graph: Graph, kernels: Both) -> None:
    assert "attention" not in calls(graph)
    rng = np.random.default_rng(0)
    inputs = {name: rng.standard_normal((1, 2, 6, 6)).astype(np.float32) for name in "qkv"}
    expected = graph.run(inputs)
    for name, got in kernels[FILES[0]].run(graph, inputs).items():
        assert_near(got, expected[name], 1e-5)
