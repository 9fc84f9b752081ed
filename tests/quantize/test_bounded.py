"""A bound on the loss of accuracy: the fewest layers stay float, and the plan says which and why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from quantize_nets import Named, captured, conv_net
from torch import nn

import triport as tp
from triport.exporter.errors import CheckError, UsageError
from triport.quantize import Plan, make_plan
from triport.quantize.labelled import accuracy


class Outlier(nn.Module):
    """Ruined by int8: one value between the two layers is 10,000 times larger than those that matter."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.head = nn.Linear(8, 9), nn.Linear(9, 4)
        with torch.no_grad():
            self.wide.weight.zero_()
            self.wide.weight[:8, :8] = torch.eye(8)
            self.wide.weight[8, 0] = 10_000
            self.wide.bias.zero_()
            self.head.weight[:, 8] = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.head(self.wide(x))
        assert isinstance(y, torch.Tensor)
        return y


@pytest.fixture(scope="module")
def task() -> tuple[tp.Graph, np.ndarray, np.ndarray]:
    torch.manual_seed(0)
    graph = tp.capture(Outlier().eval(), {"x": torch.randn(2, 8)}, dynamic={"x": {0: "batch"}})
    samples = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
    (scores,) = graph.run({"x": samples}).values()
    return graph, samples, scores.argmax(1)


def test_layers_that_ruin_accuracy_stay_float(task: tuple[tp.Graph, np.ndarray, np.ndarray]) -> None:
    graph, samples, labels = task
    whole = tp.quantize(graph, calibration=samples)
    assert accuracy(whole, {"x": samples}, labels) < 0.7
    plan = make_plan(graph, calibration=samples, validation=({"x": samples}, labels), max_drop=2.0)
    worst = plan.sensitivity[0]
    assert worst["sqnr"] < 10
    assert "of the noise" in plan.nodes[worst["node"]].reason
    kept = tp.quantize(graph, plan=plan)
    assert accuracy(kept, {"x": samples}, labels) >= 0.98
    assert Plan.from_json(plan.to_json()).sensitivity == plan.sensitivity


def test_layers_are_ranked_with_the_weights_that_they_get() -> None:
    graph, samples = captured(conv_net(), 3, 8, 8, count=300)
    (scores,) = graph.run({"x": samples}).values()
    labelled = {"x": samples}, scores.argmax(1)
    noise = {}
    for weights in ("full", "paired"):
        plan = make_plan(graph, calibration=samples[:64], validation=labelled, max_drop=0.0, weights=weights)
        noise[weights] = sorted((one["node"], one["sqnr"]) for one in plan.sensitivity)
    assert noise["full"] != noise["paired"]
    assert [node for node, _ in noise["full"]] == [node for node, _ in noise["paired"]] != []
    with pytest.raises(UsageError, match="no paired weights"):
        make_plan(graph, "int8-strict", calibration=samples, weights="paired")


def test_a_bound_that_holds_keeps_nothing_float() -> None:
    torch.manual_seed(1)
    graph = tp.capture(Named(nn.Linear(8, 4)).eval(), {"x": torch.randn(2, 8)}, dynamic={"x": {0: "batch"}})
    samples = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    (scores,) = graph.run({"x": samples}).values()
    plan = make_plan(graph, calibration=samples, validation=({"x": samples}, scores.argmax(1)), max_drop=10)
    assert plan.reasons() == {} and plan.sensitivity == [] and plan.accuracy["spared"] == 0


def test_a_bound_below_zero_cannot_be_kept(task: tuple[tp.Graph, np.ndarray, np.ndarray]) -> None:
    graph, samples, labels = task
    with pytest.raises(CheckError, match="with every layer kept float"):
        make_plan(graph, calibration=samples, validation=({"x": samples}, labels), max_drop=-1)


def test_a_bound_needs_labels_one_a_sample(task: tuple[tp.Graph, np.ndarray, np.ndarray]) -> None:
    graph, samples, labels = task
    with pytest.raises(UsageError, match="needs samples with labels"):
        make_plan(graph, calibration=samples, max_drop=1)
    with pytest.raises(UsageError, match=r"labels are int64\[399\]"):
        make_plan(graph, calibration=samples, validation=({"x": samples}, labels[:-1]), max_drop=1)


def test_labels_come_with_one_array_for_the_only_input(task: tuple[tp.Graph, np.ndarray, np.ndarray]) -> None:
    graph, samples, labels = task
    named = make_plan(graph, calibration=samples, validation=({"x": samples}, labels), max_drop=99)
    assert make_plan(graph, calibration=samples, validation=(samples.astype(np.float64), labels), max_drop=99) == named


def test_the_plan_says_what_was_measured(task: tuple[tp.Graph, np.ndarray, np.ndarray]) -> None:
    graph, samples, labels = task
    free = make_plan(graph, calibration=samples, validation=(samples, labels), max_drop=99)
    assert free.sensitivity == [], "nothing is ranked where the bound holds"
    assert free.accuracy["output"] == next(iter(graph.outputs)) and free.accuracy["samples"] == 400
    assert free.accuracy["float32"] == 1.0 and free.accuracy["spared"] == 0
    assert free.accuracy["as_planned"] == free.accuracy["all_quantized"] < 0.7
    bound = make_plan(graph, calibration=samples, validation=(samples, labels), max_drop=2.0)
    assert {entry["node"] for entry in bound.sensitivity} == {"wide", "head"}
    assert bound.accuracy["all_quantized"] == free.accuracy["all_quantized"]
    assert bound.accuracy["as_planned"] >= 0.98 and bound.accuracy["spared"] > 0
    assert Plan.from_json(bound.to_json()) == bound


def test_labels_are_classes_of_the_output(task: tuple[tp.Graph, np.ndarray, np.ndarray]) -> None:
    graph, samples, labels = task
    with pytest.raises(UsageError, match="which has 4 scores a sample: classes 0 … 3") as raised:
        make_plan(graph, calibration=samples, validation=(samples, labels + 1), max_drop=1)
    first = int(np.flatnonzero(labels == 3)[0])
    assert raised.value.code == "TP051" and f"label 4 of sample {first} is no class" in str(raised.value)
    assert "subtract 1" in str(raised.value.help)
    with pytest.raises(UsageError, match=r"label -1 of sample 0 .*"):
        make_plan(graph, calibration=samples, validation=(samples, labels - labels[0] - 1), max_drop=1)


def test_a_map_of_classes_has_no_accuracy_by_one_label_a_sample() -> None:
    """The largest of 4 · 8 · 8 scores is no class, though most of its places were accepted as one."""
    graph = tp.capture(Named(nn.Conv2d(3, 4, 1)).eval(), {"x": torch.zeros(2, 3, 8, 8)}, dynamic={"x": {0: "batch"}})
    samples, labels = np.random.default_rng(0).normal(size=(6, 3, 8, 8)).astype(np.float32), np.arange(6) % 4
    with pytest.raises(
        UsageError, match=r'the output "output" is \[6, 4, 8, 8\], not one row of scores a sample'
    ) as raised:
        make_plan(graph, calibration=samples, validation=(samples, labels), max_drop=1)
    assert raised.value.code == "TP051" and "first output" in str(raised.value.help)


def test_accuracy_of_a_graph_for_a_fixed_number_of_samples() -> None:
    torch.manual_seed(1)
    graph = tp.capture(Named(nn.Linear(8, 4)).eval(), {"x": torch.randn(5, 8)}, dynamic={})
    samples = np.random.default_rng(0).normal(size=(13, 8)).astype(np.float32)
    labels = np.concatenate([graph.run({"x": samples[i : i + 5]})["output"].argmax(1) for i in (0, 5)] + [[0, 0, 0]])
    assert accuracy(graph, {"x": samples}, labels) == 1.0
    plan = make_plan(graph, calibration=samples, validation=(samples, labels), max_drop=100)
    assert plan.accuracy["samples"] == 10 and plan.accuracy["float32"] == 1.0


@pytest.mark.parametrize("io", ["int8", "uint8"])
def test_a_bound_on_a_model_that_takes_codes(task: tuple[tp.Graph, np.ndarray, np.ndarray], io: str) -> None:
    graph, samples, labels = task
    plan = make_plan(graph, calibration=samples, validation=(samples, labels), max_drop=2.0, io=io)
    assert plan.accuracy["all_quantized"] < 0.7 and plan.accuracy["as_planned"] >= 0.98
    assert plan.sensitivity[0]["sqnr"] < 10


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ({"validation": "both"}, "TP005", "validation would be ignored: accuracy is measured where"),
        ({"max_drop": float("nan"), "validation": "both"}, "TP050", "max_drop nan is no number"),
        ({"max_drop": 1, "validation": "samples"}, "TP051", "samples and their labels, got an ndarray"),
        ({"max_drop": 1, "validation": "three"}, "TP051", "got a tuple of 3"),
        (
            {"max_drop": 1, "validation": "named"},
            "TP004",
            'validation samples do not match the inputs: "y" is no input',
        ),
        ({"max_drop": 1, "validation": "shape"}, "TP002", 'validation samples for "x" have shape [400, 7]'),
    ],
)
def test_a_bound_and_its_measure_are_looked_at_first(
    task: tuple[tp.Graph, np.ndarray, np.ndarray], options: dict[str, Any], code: str, told: str
) -> None:
    graph, samples, labels = task
    given = {"both": (samples, labels), "samples": samples, "three": (samples, labels, labels)}
    given |= {"named": ({"y": samples}, labels), "shape": (samples[:, 1:], labels)}
    with pytest.raises(UsageError) as raised:
        tp.quantize(graph, calibration=samples, **options | {"validation": given[options["validation"]]})
    assert raised.value.code == code and told in str(raised.value) and raised.value.help
    with pytest.raises(UsageError, match="max_drop would be ignored: the plan decides"):
        tp.quantize(graph, plan=make_plan(graph, calibration=samples), max_drop=1)


def test_a_plan_that_keeps_everything_float_says_so(task: tuple[tp.Graph, np.ndarray, np.ndarray]) -> None:
    graph, samples, _ = task
    plan = make_plan(graph, calibration=samples, keep_float="*")
    assert plan.notices == ["nothing is quantized: every node stays float"]
    assert not make_plan(graph, calibration=samples).notices
