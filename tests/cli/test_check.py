"""``triport check``: what each port can take, and nothing written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import triport as tp
from triport.exporter.graph import DType, Graph, Sym, TensorType
from triport.exporter.ops import Exp


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "triport", "check", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A graph in float64, which phones and pages do not compute in."""
    graph = Graph("wide")
    x = graph.add_input("x", TensorType(DType.FLOAT64, (Sym.named("batch"), 2)))
    graph.set_output("y", graph.add(Exp(), x, name="deep"))
    graph.save(tmp_path / "wide.triport")
    return tmp_path / "wide.triport"


def test_a_port_that_cannot_names_the_node_and_the_status_is_3(model: Path) -> None:
    done = run(model.name, "--to", "onnx,tflite", "--json", cwd=model.parent)
    onnx, tflite = json.loads(done.stdout)
    assert (done.returncode, onnx["passed"], tflite["passed"]) == (3, True, False)
    assert tflite["refused"][0]["node"] == 'exp "deep"'
    assert tflite["refused"][0]["code"].startswith("TP10")
    assert tflite["refused"][0]["help"]


def test_the_table_says_the_same_and_nothing_is_written(model: Path) -> None:
    done = run(model.name, "--to", "tflite", cwd=model.parent)
    assert done.returncode == 3
    assert 'exp "deep"' in done.stdout
    assert list(model.parent.iterdir()) == [model]


def test_a_model_that_all_ports_take_is_fine(tmp_path: Path) -> None:
    layer = tp.Sequential([tp.Input((4,)), tp.layers.Dense(2)])
    tp.capture(layer, np.zeros((1, 4), np.float32)).save(tmp_path / "m.triport")
    done = run("m.triport", cwd=tmp_path)
    assert (done.returncode, done.stdout.count("yes")) == (0, 3)
