"""Images as [N, H, W, C] in every artefact where the module takes [N, C, H, W]: in the files, in what verifies them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_graphs import BATCH, convnet, perceptron
from torch import nn

import triport as tp
from triport.cli import run
from triport.exporter.errors import UsageError
from triport.exporter.graph import DType, Graph, Recipe, Sample, TensorType
from triport.exporter.graph.file import load_graph, save_graph
from triport.exporter.ops import Transpose
from triport.exporter.passes.input_layout import turn_inputs
from triport.runtime_checks import Status, export, verify
from triport.targets.prepare import prepare
from triport.targets.registry import get_target


class Net(nn.Module):
    """An image and a vector beside it; the image is too large for its golden samples to be stored."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.dense = nn.Conv2d(3, 4, 3, 2, padding=1), nn.Linear(4 + 2, 5)

    def forward(self, image: torch.Tensor, hint: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.dense(torch.cat([torch.relu(self.conv(image)).amax((2, 3)), hint], 1))
        return scores


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


EXAMPLE = {"image": torch.randn(1, 3, 24, 32), "hint": torch.randn(1, 2)}


def transposes(graph: Graph, port: str) -> int:
    return sum(isinstance(node.op, Transpose) for node in prepare(graph, get_target(port)).nodes)


def test_a_captured_module_is_proven_on_every_port_with_images_in_channels_last(net: Net, tmp_path: Path) -> None:
    further = {"image": torch.randn(3, 3, 24, 32), "hint": torch.randn(3, 2)}
    graph = tp.capture(net, EXAMPLE, more_examples=[further], input_layout="nhwc")
    types = {value.name: str(value.type) for value in graph.inputs}
    assert types == {"image": "float32[batch, 24, 32, 3]", "hint": "float32[batch, 2]"}
    assert all("image" in sample.recipes for sample in graph.samples)
    assert graph.samples[1].inputs["image"].shape == (3, 24, 32, 3)
    assert {port: transposes(graph, port) for port in ("onnx", "tflite", "web")} == {"onnx": 1, "tflite": 0, "web": 0}
    image = np.random.default_rng(0).normal(size=(3, 24, 32, 3)).astype(np.float32)
    hint = np.random.default_rng(1).normal(size=(3, 2)).astype(np.float32)
    answer = graph.run({"image": image, "hint": hint})["output"]
    with torch.no_grad():
        own = net(torch.from_numpy(image).permute(0, 3, 1, 2), torch.from_numpy(hint)).numpy()
    assert np.abs(answer.astype(np.float64) - own).max() < 1e-6
    report = export(graph, tmp_path, samples={"image": image, "hint": hint})
    assert report.status is Status.VERIFIED
    assert 'input "hint" is taken as it is: no convolution, pool or resize reads it as an image' in report.notes
    document = json.loads((tmp_path / "triport.json").read_text())
    assert document["input_layout"] == "nhwc"
    assert [(i["layout"], i["shape"]) for i in document["inputs"]] == [
        ("NHWC", ["batch", 24, 32, 3]),
        (None, ["batch", 2]),
    ]
    assert verify(tmp_path).status is Status.VERIFIED


def test_a_saved_program_is_turned_on_the_command_line(
    net: Net, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = torch.export.Dim("batch")
    example = (torch.randn(2, 3, 24, 32), torch.randn(2, 2))
    program = torch.export.export(net, example, dynamic_shapes={"image": {0: batch}, "hint": {0: batch}})
    torch.export.save(program, tmp_path / "net.pt2")
    assert run(["export", f"{tmp_path}/net.pt2", "-o", f"{tmp_path}/dist", "--input-layout", "nhwc"]) == 0
    assert 'note: input "hint" is taken as it is' in capsys.readouterr().err
    (image, hint) = json.loads((tmp_path / "dist" / "triport.json").read_text())["inputs"]
    assert (image["shape"], hint["shape"]) == (["batch", 24, 32, 3], ["batch", 2])


def test_a_graph_that_was_captured_before_is_turned_with_its_stored_samples(tmp_path: Path) -> None:
    save_graph(convnet(), tmp_path / "model.triport")
    report = export(tmp_path / "model.triport", tmp_path / "dist", input_layout="nhwc")
    assert report.status is Status.VERIFIED
    for model in (None, tmp_path / "model.triport", turn_inputs(convnet()).graph):
        assert verify(tmp_path / "dist", model=model).status is Status.VERIFIED
    (sample, _), (given, _) = turn_inputs(convnet()).graph.samples, convnet().samples
    np.testing.assert_array_equal(sample.inputs["image"], given.inputs["image"].transpose(0, 2, 3, 1))


def test_a_turned_graph_stays_turned_in_its_file(tmp_path: Path) -> None:
    graph = turn_inputs(convnet()).graph
    save_graph(graph, tmp_path / "turned.triport")
    loaded = load_graph(tmp_path / "turned.triport")
    assert str(loaded) == str(graph)
    report = export(loaded, tmp_path / "dist", to=["tflite"], input_layout="nhwc")  # asked for twice is turned once
    assert report.status is Status.VERIFIED


def test_a_sample_that_a_rule_made_is_stored_turned_unless_it_is_large() -> None:
    graph = convnet()
    small, large = (Recipe(DType.FLOAT32, (n, 1, 8, 8), 1, 0.0, 1.0) for n in (2, 2**15))
    scores = {"scores": np.zeros((2, 10), np.float32)}
    graph.samples = [Sample({}, scores, {"image": small}), Sample({}, scores, {"image": large})]
    turned = turn_inputs(graph).graph
    assert [sample.inputs["image"].shape for sample in turned.samples] == [(2, 8, 8, 1)]
    assert not turned.samples[0].recipes
    assert turned.notices == ()
    graph.samples = graph.samples[1:]
    assert "too large to be stored turned" in turn_inputs(graph).graph.notices[0]


def test_sequences_and_volumes_are_turned_too(tmp_path: Path) -> None:
    for module, shape, turned in (
        (nn.Conv1d(2, 3, 3), (1, 2, 9), "float32[batch, 9, 2]"),
        (nn.Conv3d(2, 3, 2), (1, 2, 4, 5, 6), "float32[batch, 4, 5, 6, 2]"),
    ):
        graph = tp.capture(nn.Sequential(module, nn.Flatten(), nn.ReLU()), torch.randn(*shape), input_layout="nhwc")
        assert str(graph.inputs[0].type) == turned
        assert export(graph, tmp_path).status is Status.VERIFIED


def test_what_is_no_image_in_channels_first_is_refused() -> None:
    with pytest.raises(UsageError, match=r'its inputs: "x" float32\[batch, 4\]') as refused:
        turn_inputs(perceptron())
    assert refused.value.code == "TP007"
    assert refused.value.because == "no convolution, pool or resize reads one"
    with pytest.raises(UsageError) as refused:
        turn_inputs(turn_inputs(convnet()).graph)
    assert refused.value.because == "its images are in channels last already"
    with pytest.raises(UsageError, match="got 'nchw'"):
        export(convnet(), "nowhere", input_layout="nchw")


def test_an_output_that_is_an_image_keeps_its_channels_first_and_the_report_says_so(tmp_path: Path) -> None:
    class Masks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
            y = self.conv(image).sigmoid()
            last = torch.cat([y, image], 1).permute(0, 2, 3, 1)
            return {"mask": y * 2, "seen": image, "last": last, "mean": y.mean((2, 3))}

    graph = tp.capture(Masks(), torch.randn(1, 3, 6, 8), input_layout="nhwc")
    report = export(graph, tmp_path, to=["onnx"], verify=False)
    said = [note for note in report.notes if "in channels first, as the model gives it" in note]
    assert [note.split('"')[1] for note in said] == ["mask", "seen"]
    assert 'output "mask" is float32[batch, 4, 6, 8] in channels first' in said[0]
    outputs = json.loads((tmp_path / "triport.json").read_text())["outputs"]
    assert {o["name"]: o["layout"] for o in outputs} == {"mask": "NCHW", "seen": "NCHW", "last": "NHWC", "mean": None}


def test_an_input_that_is_an_output_too_keeps_its_shape_there() -> None:
    graph = convnet(samples=0)
    graph.set_output("seen", graph.inputs[0])
    turned = turn_inputs(graph).graph
    assert turned.outputs["seen"].type == TensorType(DType.FLOAT32, (BATCH, 1, 8, 8))
