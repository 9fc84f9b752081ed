"""The examples do what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mobilenet_v2 import mobilenet_v2
from shape.source import ROOT

import triport as tp


def test_mobilenet_v2_has_the_parameters_and_layers_of_kerass() -> None:
    model = mobilenet_v2()
    assert model.count_params() == 3_538_984
    convolutions = [layer for layer in model.layers if isinstance(layer, tp.layers.Conv2D | tp.layers.DepthwiseConv2D)]
    assert len(convolutions) == 52
    assert model.compute_output_shape((None, 224, 224, 3)) == (None, 1000)


def test_the_demo_reads_97_percent_and_every_port_agrees(tmp_path: Path) -> None:
    """The README's first command, with every runtime there; without a browser it would say so and still end well."""
    out = tmp_path / "digits"
    environment = {**os.environ, "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, ROOT / "examples" / "digits_demo.py", "--out", out],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "every port agrees" in result.stdout
    assert "not verified" not in result.stdout
    assert (out / "ports" / "web" / "index.html").is_file()


def test_readers_of_sequences_reach_95_percent_and_every_port_agrees_at_two_lengths(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "examples" / "sequence_demo.py", "--out", tmp_path],
        env={**os.environ, "NO_COLOR": "1", "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "every port agrees" in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bidirectional", "gru", "lstm", "transformer"]
