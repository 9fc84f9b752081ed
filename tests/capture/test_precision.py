"""Models in other floats than float32: converted with a notice and a measured difference, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from capture.eager import Function, sample
from torch import nn

from triport.exporter.capture import capture, capture_saved
from triport.exporter.errors import ModelError
from triport.exporter.graph import DType, Graph
from triport.exporter.reference import run_graph

FLOATS = [torch.float64, torch.bfloat16, torch.float16]


def dtypes(graph: Graph) -> set[DType]:
    values = [*graph.inputs, *graph.constants(), *(value for node in graph.nodes for value in node.outputs)]
    return {value.type.dtype for value in values}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("example", [torch.float32, torch.float64])
def test_weights_become_float32_and_the_module_keeps_its_own(dtype: torch.dtype, example: torch.dtype) -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)).to(dtype)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    graph = capture(module, sample(2, 4).to(example))
    assert dtypes(graph) == {DType.FLOAT32}
    assert str(dtype).removeprefix("torch.") in graph.notices[-2]
    assert "differ from the module's own by at most" in graph.notices[-1]
    for name, tensor in module.state_dict().items():
        assert tensor.dtype is dtype
        assert torch.equal(tensor, before[name])


def test_a_saved_program_tells_of_each_conversion_once(tmp_path: Path) -> None:
    x = sample(2, 4).bfloat16()
    torch.export.save(torch.export.export(nn.Linear(4, 3).bfloat16().eval(), (x,)), tmp_path / "m.pt2")
    inputs, weights, difference = capture_saved(tmp_path / "m.pt2").notices
    assert inputs == "inputs converted to float32: input (from bfloat16)"
    assert weights == "weights converted from bfloat16 to float32: weight, bias"
    assert "differ from the module's own" in difference


def test_tied_weights_stay_tied() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(50, 8, dtype=torch.bfloat16)
            self.head = nn.Linear(8, 50, bias=False)
            self.head.weight = nn.Parameter(self.embed.weight.detach())

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.head(self.embed(ids))
            return scores

    assert capture(Tied(), torch.tensor([[3, 4]])).parameter_bytes() == 50 * 8 * 4


class Autocast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y: torch.Tensor = self.dense(x)
        return y.softmax(-1)


INSIDE: dict[str, tuple[nn.Module, str]] = {
    "autocast": (Autocast(), "bfloat16"),
    "half": (Function(lambda x: (x.half() * 2).float()), "float16"),
    "double": (Function(lambda x: (x.double() * 2).sum(1)), "float64"),
    "made in float64": (Function(lambda x: x * torch.linspace(0, 1, 4, dtype=torch.float64)), "float64"),
}


@pytest.mark.parametrize("which", INSIDE)
def test_other_floats_inside_become_float32_and_the_line_is_said(which: str) -> None:
    module, dtype = INSIDE[which]
    graph = capture(module, sample(2, 4))
    assert dtypes(graph) == {DType.FLOAT32}
    assert graph.notices[0].startswith(f"computed in float32 instead of {dtype} (")
    assert ".py:" in graph.notices[0]


def test_a_converted_model_answers_nearly_as_it_did() -> None:
    module = INSIDE["autocast"][0]
    x = sample(2, 4)
    graph = capture(module, x)
    with torch.no_grad():
        own = module(x).float().numpy()
    np.testing.assert_allclose(run_graph(graph, {"x": x.numpy()})["output"].astype(np.float32), own, atol=0.02)
    assert graph.samples[0].outputs["output"].dtype == np.float32


def test_a_model_that_needs_float64_is_refused() -> None:
    with pytest.raises(ModelError, match="needs float64") as refused:
        capture(Function(lambda x: (x.double() + 1e12 - 1e12).float()), sample(2, 4))
    assert refused.value.code == "TP214"


UNUSABLE: dict[str, Any] = {
    "float8": lambda: torch.zeros(2).to(torch.float8_e4m3fn),
    "sparse": lambda: torch.eye(2).to_sparse(),
    "meta": lambda: torch.zeros(2, device="meta"),
}


@pytest.mark.parametrize("which", UNUSABLE)
def test_weights_that_no_port_has_are_refused_by_name(which: str) -> None:
    class Holds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("table", UNUSABLE[which]())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    with pytest.raises(ModelError, match='"table"') as refused:
        capture(Holds(), sample(1, 2))
    assert refused.value.code == "TP209"
    assert refused.value.help
