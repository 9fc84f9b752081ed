"""`verify`: an export folder, somewhere else, some other day."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_graphs import convnet

from triport.exporter.errors import FormatError, UsageError
from triport.runtime_checks import Status, verify


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(exported, tmp_path / "copy"))


def test_a_copied_folder_verifies_from_its_golden_samples(folder: Path) -> None:
    report = verify(folder)
    assert report.status is Status.VERIFIED
    assert report.truth == "golden samples"
    assert report.parameters == 690 + 40 - 40
    assert [check.case for check in report.ports[0].runners[0].checks] == ["golden 1", "golden 2"]


def test_with_the_model_the_reference_and_given_samples_judge_too(exported: Path, model_file: Path) -> None:
    images = np.random.default_rng(0).normal(size=(3, 1, 8, 8)).astype(np.float32)
    report = verify(
        exported, model=model_file, samples={"image": images}, runners=["litert-plain", "onnxruntime-plain"]
    )
    assert report.truth == "float64 reference"
    assert {runner.runner for _, runner in report.rows() if runner} == {"litert-plain", "onnxruntime-plain", "node"}
    assert report.status is Status.VERIFIED
    assert "given" in [check.case for check in report.ports[0].runners[0].checks]


def test_without_torch_the_golden_samples_are_enough(exported: Path, model_file: Path) -> None:
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from triport.runtime_checks import export, verify\n"
        "print(verify(sys.argv[1]).status.value)\n"
        "report = export(sys.argv[2], sys.argv[3], ['onnx', 'tflite'])\n"
        "print(report.status.value, report.truth)"
    )
    command = [sys.executable, "-c", script, str(exported), str(model_file), str(exported.parent / "no-torch")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == ["verified", "verified golden samples"]


def test_a_wrong_golden_answer_fails_and_says_where(folder: Path) -> None:
    document = json.loads((folder / "triport.json").read_text())
    first, second = document["golden"]
    first["outputs"], second["outputs"] = second["outputs"], first["outputs"]
    (folder / "triport.json").write_text(json.dumps(document))
    report = verify(folder)
    assert report.status is Status.FAILED
    assert all(port.status is Status.FAILED for port in report.ports)
    assert 'output "scores" on golden 1: differs by' in report.ports[0].runners[0].reason


@pytest.mark.parametrize("name", ["model.onnx", "model.tflite", "web/weights.bin", "web/index.js"])
def test_a_file_that_was_changed_is_named(name: str, folder: Path) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(FormatError, match=f"{name} is not the file that was exported") as error:
        verify(folder)
    assert error.value.code == "TP421"


def test_a_file_that_is_missing_is_named(folder: Path) -> None:
    (folder / "model.tflite").unlink()
    with pytest.raises(FormatError, match=r"model\.tflite is missing"):
        verify(folder)


def test_another_model_is_refused(exported: Path) -> None:
    with pytest.raises(UsageError, match="is not the model that this folder was exported from") as error:
        verify(exported, model=convnet(5))
    assert error.value.code == "TP006"


def test_samples_without_the_model_are_refused(exported: Path) -> None:
    with pytest.raises(UsageError, match="samples need the model"):
        verify(exported, samples={"image": np.zeros((1, 1, 8, 8), np.float32)})
