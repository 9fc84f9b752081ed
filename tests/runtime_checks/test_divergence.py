"""The first node that differs is named, on every port."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from small_graphs import convnet

from triport.exporter.graph import DType, Graph, Sym, TensorType
from triport.exporter.ops import Conv, LayerNorm, Linear, MaxPool, Quantize, Sqrt
from triport.exporter.passes.exact_values import exact_values
from triport.quantize import quantize
from triport.runtime_checks.divergence import Divergence, first_divergence
from triport.runtime_checks.runners import get_runner
from triport.runtime_checks.samples import generated_cases
from triport.targets.prepare import prepare
from triport.targets.registry import get_target
from triport.targets.target import Target

PORTS = {"onnx": "onnxruntime", "tflite": "litert", "web": "node"}


class Corrupting:
    """A target that writes another graph than it was given."""

    def __init__(self, target: Target, corrupt: str) -> None:
        self.name, self.artefact, self.capabilities = target.name, target.artefact, target.capabilities
        self.target, self.corrupt = target, corrupt

    def refusal(self, node: Any) -> Any:
        return self.target.refusal(node)

    def write(self, graph: Graph, path: Path, manifest: Mapping[str, Any]) -> None:
        other = graph.copy()
        for node in other.nodes:
            if self.corrupt == "weight" and node.name.startswith("head"):
                weight = node.inputs[1].array().copy()
                weight[3, 7] += 0.5
                other.set_inputs(node, [node.inputs[0], other.add_constant(weight, "bad"), *node.inputs[2:]])
            if self.corrupt == "attribute" and isinstance(node.op, MaxPool):
                shifted = dataclasses.replace(node.op, padding=((1, 0), (0, 0)), kernel=(3, 2))
                other.set_op(node, shifted)
        self.target.write(other, path, manifest)


def search(port: str, corrupt: str, folder: Path, graph: Graph | None = None) -> Divergence | None:
    graph = graph or convnet()
    target: Target = Corrupting(get_target(port), corrupt)
    prepared = prepare(graph, target)
    target.write(prepared, folder / target.artefact, {})
    case = generated_cases(graph)[1]
    return first_divergence(
        prepared, target, get_runner(PORTS[port]), folder / target.artefact, case.inputs, case.label
    )


@pytest.mark.parametrize("port", PORTS)
def test_a_sound_artefact_has_no_divergence(port: str, tmp_path: Path) -> None:
    assert search(port, "", tmp_path) is None


@pytest.mark.parametrize("port", PORTS)
def test_a_wrong_weight_names_its_layer(port: str, tmp_path: Path) -> None:
    found = search(port, "weight", tmp_path)
    assert found is not None
    assert (found.layer, found.at, found.case) == ("head", "model.py:45", "batch 2")
    assert found.max_abs > found.bound
    assert 'linear "head" (model.py:45, layer "head") differs first: differs by' in str(found)


@pytest.mark.parametrize("port", PORTS)
def test_a_wrong_attribute_names_its_layer(port: str, tmp_path: Path) -> None:
    found = search(port, "attribute", tmp_path)
    assert found is not None
    assert found.layer == "pool"


def test_a_weight_changed_in_the_onnx_file_is_found_in_the_file(tmp_path: Path) -> None:
    graph, target = convnet(), get_target("onnx")
    prepared = prepare(graph, target)
    path = tmp_path / target.artefact
    target.write(prepared, path, {})
    model = onnx.load(str(path))
    kernel = next(tensor for tensor in model.graph.initializer if tensor.name == "stem.weight")
    kernel.raw_data = np.frombuffer(kernel.raw_data, np.float32)[::-1].tobytes()
    onnx.save(model, str(path))
    found = first_divergence(prepared, target, get_runner("onnxruntime"), path, generated_cases(graph)[0].inputs)
    assert found is not None
    assert found.layer == "stem"
    assert found.seen == "the file, inner values added as outputs"


def test_a_weight_changed_in_the_tflite_file_is_found_in_the_file(tmp_path: Path) -> None:
    graph, target = convnet(), get_target("tflite")
    prepared = prepare(graph, target)
    path = tmp_path / target.artefact
    target.write(prepared, path, {})
    stored = next(node for node in prepared.nodes if isinstance(node.op, Conv)).inputs[1].array()
    data = path.read_bytes()
    path.write_bytes(data.replace(stored.tobytes(), stored[::-1].tobytes()))
    assert path.read_bytes() != data
    found = first_divergence(prepared, target, get_runner("litert"), path, generated_cases(graph)[0].inputs)
    assert found is not None
    assert found.layer in ("stem", "relu")
    assert found.seen == "the file, inner values added as outputs"


def test_codes_that_differ_are_found_in_the_kernels_in_which_they_differ(tmp_path: Path) -> None:
    """LiteRT's plain kernels round in a way of their own: asked there, an earlier layer would be blamed."""
    images = {"image": np.random.default_rng(5).normal(0, 1, (64, 1, 8, 8)).astype(np.float32)}
    graph, target = quantize(convnet(samples=0), calibration=images), get_target("tflite")
    prepared = prepare(graph, target)
    path = tmp_path / target.artefact
    target.write(prepared, path, {})
    assert first_divergence(prepared, target, get_runner("litert"), path, images) is None
    plain = first_divergence(prepared, target, get_runner("litert-plain"), path, images)
    assert plain is not None and plain.layer != "head"
    stored = next(node for node in prepared.nodes if isinstance(node.op, Linear)).inputs[1].array()
    path.write_bytes(path.read_bytes().replace(stored.tobytes(), stored[::-1].tobytes()))
    found = first_divergence(prepared, target, get_runner("litert"), path, images)
    assert found is not None and found.layer == "head"


@pytest.mark.parametrize("name", ["tflite", "onnx"])
def test_the_roots_of_a_layer_norm_may_differ_and_its_codes_may_not(name: str, tmp_path: Path) -> None:
    """A runtime's square root is off by a unit in the last place; the step behind it takes that away."""
    random = np.random.default_rng(6)
    graph = Graph("norm")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (Sym.named("batch"), 40)))
    parameters = [graph.add_constant(random.normal(1, 0.3, 40).astype(np.float32)) for _ in range(2)]
    graph.set_output("y", graph.add(LayerNorm(1, 1e-5), x, *parameters, name="norm"))
    samples = {"x": (random.normal(0, 1, (200, 40)) * random.lognormal(0, 1, (200, 1))).astype(np.float32)}
    quantized, target = quantize(graph, calibration=samples, io="int8"), get_target(name)
    prepared = prepare(quantized, target)
    target.write(prepared, tmp_path / target.artefact, {})
    codes = {"x": random.integers(-128, 128, (500, 40)).astype(np.int8)}
    exact = exact_values(prepared)
    (root,) = (node for node in prepared.nodes if isinstance(node.op, Sqrt))
    (coded,) = (node for node in prepared.nodes if isinstance(node.op, Quantize))
    assert root.output not in exact and coded.output in exact
    runner = get_runner("litert" if name == "tflite" else "onnxruntime")
    assert first_divergence(prepared, target, runner, tmp_path / target.artefact, codes) is None
