"""What is refused before a byte is written: weights that are too large, integers that are too wide."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from capture.eager import Function
from small_graphs import perceptron

import triport as tp
from triport.exporter.errors import ModelError
from triport.runtime_checks import export
from triport.runtime_checks.preflight import _refused_error
from triport.targets.emit import Refusal
from triport.targets.onnx import writer
from triport.targets.tflite.registry import OTHER_PORTS
from triport.targets.tflite.target import TFLiteTarget
from triport.targets.web.target import WebTarget


@pytest.mark.parametrize("target", [TFLiteTarget, WebTarget])
def test_weights_that_a_format_cannot_hold_are_refused_before_work_starts(
    target: type[TFLiteTarget] | type[WebTarget], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "capabilities", dataclasses.replace(target.capabilities, most_bytes=100))
    with pytest.raises(ModelError) as refused:
        export(perceptron(), tmp_path / "dist", to=["onnx", target.name])
    assert refused.value.code == "TP106"
    assert target.artefact in refused.value.message
    assert "--to onnx" in str(refused.value.help)
    assert not (tmp_path / "dist").exists()


def test_large_weights_lie_beside_the_onnx_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MAX_INLINE_BYTES", 100)
    report = export(perceptron(), tmp_path, to=["onnx"])
    assert report.passed
    assert (tmp_path / "model.onnx.data").stat().st_size >= perceptron().parameter_bytes()


@pytest.mark.parametrize(("number", "which"), [(2**35, 'input "x"'), (2**20, 'output "output"')])
def test_integers_that_phones_and_pages_do_not_have_are_refused(number: int, which: str, tmp_path: Path) -> None:
    graph = tp.capture(Function(lambda x: x * x), torch.tensor([[1, number]]))
    assert export(graph, tmp_path / "server", to=["onnx"]).passed
    for port in ("tflite", "web"):
        with pytest.raises(ModelError) as refused:
            export(graph, tmp_path / port, to=[port])
        assert refused.value.code == "TP105"
        assert which in refused.value.message
        assert not (tmp_path / port).exists()


def test_outputs_without_cells_are_compared_too(tmp_path: Path) -> None:
    graph = tp.capture(Function(lambda x: x[:, :0]), np.ones((1, 3), np.float32))
    assert export(graph, tmp_path).passed


def test_notices_of_a_capture_stand_in_the_report(tmp_path: Path) -> None:
    graph = tp.capture(torch.nn.Linear(3, 2).double(), np.ones((1, 3)))
    report = export(graph, tmp_path, to=["onnx"])
    assert report.notes[: len(graph.notices)] == list(graph.notices)
    assert "float64" in (tmp_path / "report.html").read_text()


def test_advice_that_names_other_ports_is_given_once() -> None:
    node = perceptron().nodes[0]
    advice = str(_refused_error([(TFLiteTarget(), node, Refusal("it cannot", OTHER_PORTS, "TP103"))]).help)
    assert advice == "export to onnx, web alone: --to onnx,web"
