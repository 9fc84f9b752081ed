"""The check of other people's networks: what it lets pass, what it stops, and what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from catalog import Inputs, Network, networks, random_floats, seeded
from judge import Verdict, judge
from run import main
from torch import nn

FREE = {"x": {0: "batch", 1: "length"}}
CHECKS = ({"batch": 2, "length": 5}, {"batch": 1, "length": 9})


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        scores = self.linear(x).softmax(-1)
        return {"scores": scores, "mean": scores.mean(1)}


class OtherInTraining(Tiny):
    """Captured in eval mode, judged in the mode it was left in: a graph that is not what the module says."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return super().forward(x + 1.0 if self.training else x)


class Refused(Tiny):
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return super().forward(x if x.sum() > 0 else -x)


def network(name: str, make: type[nn.Module], *, eval_mode: bool = True, **options: bool) -> Network:
    def inputs(batch: int, length: int) -> Inputs:
        return {"x": random_floats(batch, length, 4)}

    return Network(name, lambda: seeded(make).train(not eval_mode), inputs, FREE, CHECKS, **options)


def test_a_network_that_answers_alike_at_all_sizes_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], [network("tiny", Tiny)]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[1].split()[0] == "tiny"
    assert "1 of 1 networks answer on onnx, tflite, web as their modules do" in printed


def test_figures_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "--to", "onnx,tflite"], [network("tiny", Tiny)]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert [port["verdict"] for port in result["ports"]] == ["same", "same"]
    assert result["free"] == ["batch", "length"]
    assert result["transposes"] == 0
    assert result["ports"][0]["bytes"] > 0


def test_a_wrong_port_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], [network("tiny", Tiny), network("other", OtherInTraining, eval_mode=False)]) == 1
    printed = capsys.readouterr().out
    assert "onnx in onnxruntime: TP500: scores at batch 2, length 5: differs by" in printed
    assert "1 of 2 networks" in printed


def test_a_refusal_fails_the_run_and_says_the_code(tmp_path: Path) -> None:
    result = judge(network("refused", Refused), ["onnx", "web"], tmp_path)
    assert not result.same
    assert [port.verdict for port in result.ports] == [Verdict.REFUSED] * 2
    assert result.ports[0].reason.startswith("TP206: ")
    assert not list(tmp_path.iterdir())


def test_names_and_families_choose_networks() -> None:
    everything = networks()
    assert len({each.name for each in everything}) == len(everything)
    assert [each.name for each in networks(["bert"])] == ["bert"]
    assert len(networks(["text"])) >= 1
    with pytest.raises(LookupError, match="'brt'"):
        networks(["brt"])


def test_every_network_is_judged_at_two_batches_and_its_other_free_sizes_at_two() -> None:
    for each in networks():
        free = {dim for axes in each.dynamic.values() for dim in axes.values()}
        assert set(each.checks[0]) >= free, each.name
        for dim in free:
            assert len({sizes[dim] for sizes in each.checks}) >= 2, (each.name, dim)
