"""`export` as a whole: what it writes, what it refuses, and what it leaves alone."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_graphs import convnet, perceptron, root_of_a_product, wide_numbers

from triport.exporter.errors import EnvironmentError_, ModelError, UsageError
from triport.exporter.graph import Graph
from triport.exporter.ops import MaxPool
from triport.runtime_checks import ExportFailed, Status, export, verify
from triport.targets.onnx import OnnxTarget


@pytest.fixture
def broken_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect in the ONNX writer: max pools come out shifted by a row."""
    write = OnnxTarget.write

    def shifted(self: OnnxTarget, graph: Graph, path: Path, manifest: Any) -> None:
        other = graph.copy()
        for node in other.nodes:
            if isinstance(node.op, MaxPool):
                other.set_op(node, dataclasses.replace(node.op, padding=((1, 0), (0, 0)), kernel=(3, 2)))
        write(self, other, path, manifest)

    monkeypatch.setattr(OnnxTarget, "write", shifted)


def sums(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("report.")
    }


def test_every_port_is_verified_at_batch_1_2_and_7_and_on_golden_and_given_samples(tmp_path: Path) -> None:
    images = np.random.default_rng(3).normal(size=(70, 1, 8, 8)).astype(np.float32)
    steps: list[str] = []
    report = export(convnet(), tmp_path / "dist", samples={"image": images}, progress=steps.append)
    assert report.status is Status.VERIFIED
    assert [(port.target, runner.runner) for port, runner in report.rows() if runner] == [
        ("onnx", "onnxruntime"),
        ("tflite", "litert"),
        ("web", "node"),
    ]
    for _, runner in report.rows():
        assert runner is not None
        assert [check.case for check in runner.checks] == [
            *("batch 1", "batch 2", "batch 7", "golden 1", "golden 2"),
            *("given, rows 0–63", "given, rows 64–69"),
        ]
        assert runner.top1 == (84, 84)
        assert runner.latency is not None
        assert runner.worst is not None
        assert 0 < runner.worst.max_abs <= runner.worst.bound
    assert sorted(os.listdir(tmp_path / "dist")) == [
        "model.onnx", "model.tflite", "report.html", "report.json", "triport.json", "web",
    ]  # fmt: skip
    assert steps[-1] == "checking web"


def test_triport_json_says_what_a_program_needs(exported: Path) -> None:
    document = json.loads((exported / "triport.json").read_text())
    (image,), (scores,) = document["inputs"], document["outputs"]
    assert (image["name"], image["dtype"], image["shape"]) == ("image", "float32", ["batch", 1, 8, 8])
    assert image["layout"] == "NCHW"
    assert image["value_range"][0] < -1 < 1 < image["value_range"][1]
    assert (scores["name"], scores["shape"], scores["layout"]) == ("scores", ["batch", 10], None)
    assert document["ports"]["onnx"]["needs"]["opset"].isdigit()
    assert "runtime" in document["ports"]["tflite"]["needs"]
    files = {name: facts for port in document["ports"].values() for name, facts in port["files"].items()}
    assert {"model.onnx", "model.tflite", "web/index.js"} <= files.keys()
    for name, facts in files.items():
        data = (exported / name).read_bytes()
        assert facts == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert len(document["golden"]) == 2


def test_the_download_of_a_bundle_is_what_a_page_fetches(tmp_path: Path) -> None:
    onnx, web = export(perceptron(), tmp_path, ["onnx", "web"], verify=False).ports
    assert onnx.download_bytes == onnx.bytes == (tmp_path / "model.onnx").stat().st_size
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "web").iterdir()}
    assert web.download_bytes == sizes["index.js"] + sizes["weights.bin"]
    assert web.bytes == sum(sizes.values())


def test_the_report_is_data_and_a_page(tmp_path: Path) -> None:
    report = export(perceptron(), tmp_path, ["onnx"])
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["status"] == "verified"
    (runner,) = document["ports"][0]["runners"]
    assert runner["max_abs"] == report.ports[0].runners[0].max_abs
    page = (tmp_path / "report.html").read_text()
    assert "http" not in page.replace("https://nodejs.org", "")
    assert all(text in page for text in ("perceptron", "onnxruntime", "model.onnx", "batch 7", "prefers-color-scheme"))


def test_the_same_model_gives_the_same_bytes_in_every_process(model_file: Path, tmp_path: Path) -> None:
    folders = [tmp_path / seed for seed in ("1", "2")]
    for folder in folders:
        command = [sys.executable, "-m", "triport", "export", str(model_file), "-o", str(folder), "--no-verify"]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": folder.name}, capture_output=True)
    assert sums(folders[0]) == sums(folders[1])
    assert len(sums(folders[0])) > 10


def test_torch_is_not_imported_without_verification(model_file: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from triport.cli import run\n"
        "code = run(['export', sys.argv[1], '-o', sys.argv[2], '--no-verify'])\n"
        "heavy = {'torch', 'onnxruntime', 'ai_edge_litert.interpreter', 'playwright', 'sklearn'} & sys.modules.keys()\n"
        "print(code, sorted(heavy))"
    )
    command = [sys.executable, "-c", script, str(model_file), str(tmp_path / "dist")]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    assert answer.stdout.splitlines()[-1] == "0 []"


def test_every_node_that_cannot_be_expressed_is_listed_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as error:
        export(wide_numbers(), tmp_path / "dist", ["onnx", "tflite"])
    text = str(error.value)
    assert '"step1"' in text
    assert '"step2" (steps.py:12, layer "step2")' in text
    assert error.value.at == 'steps.py:11, layer "step1"'
    assert "step0" not in text
    assert not (tmp_path / "dist").exists()


@pytest.mark.parametrize(("number", "words"), [(np.nan, "1 NaN and 0 infinite"), (-np.inf, "0 NaN and 1 infinite")])
def test_a_weight_that_is_no_number_is_named_by_its_layer(number: float, words: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f'weight of linear "second" holds {words} of 15 numbers') as error:
        export(perceptron(broken=number), tmp_path / "dist")
    assert error.value.code == "TP130"
    assert error.value.at == 'net.py:9, layer "second"'
    assert not (tmp_path / "dist").exists()


def test_a_model_that_answers_nan_is_named_by_its_layer_and_compared_all_the_same(tmp_path: Path) -> None:
    report = export(root_of_a_product(), tmp_path)
    assert report.status is Status.VERIFIED
    assert any('first in sqrt "root" (root.py:4, layer "root")' in note for note in report.notes)


def test_a_port_that_answers_differently_leaves_the_earlier_export_alone(
    tmp_path: Path, broken_onnx: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as sound:
        sound.undo()
    with pytest.raises(ExportFailed) as failure:
        export(convnet(), tmp_path, ["onnx", "tflite"])
    error = failure.value
    assert error.code == "TP507"
    assert 'max_pool2d "pool" (model.py:43, layer "pool") differs first' in (error.at or "")
    assert error.report.ports[0].status is Status.FAILED
    assert error.report.ports[1].status is Status.VERIFIED
    assert sorted(os.listdir(tmp_path)) == ["failed"]
    assert json.loads((tmp_path / "failed" / "report.json").read_text())["status"] == "failed"
    assert {"model.onnx", "model.tflite", "report.html"} <= set(os.listdir(tmp_path / "failed"))
    assert "differs first" in (tmp_path / "failed" / "report.html").read_text()
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)


def test_what_was_exported_before_stays_until_the_next_export_is_sound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    export(convnet(), tmp_path, ["onnx"])
    before = sums(tmp_path)
    request.getfixturevalue("broken_onnx")
    with pytest.raises(ExportFailed):
        export(convnet(), tmp_path, ["onnx"])
    assert {name: value for name, value in sums(tmp_path).items() if not name.startswith("failed/")} == before
    monkeypatch.undo()
    export(convnet(), tmp_path, ["onnx"])
    assert sums(tmp_path) == before
    assert not (tmp_path / "failed").exists()


def test_ports_of_the_same_model_are_added_to_the_folder(tmp_path: Path) -> None:
    export(convnet(), tmp_path, ["onnx"], verify=False)
    report = export(convnet(), tmp_path, ["tflite"], verify=False)
    assert not report.notes
    assert verify(tmp_path).status is Status.VERIFIED
    assert {port.target for port in verify(tmp_path).ports} == {"onnx", "tflite"}


def test_a_port_of_another_model_is_no_longer_listed(tmp_path: Path) -> None:
    export(convnet(1), tmp_path, ["onnx"], verify=False)
    report = export(convnet(2), tmp_path, ["tflite"], verify=False)
    assert report.notes == ["model.onnx is of another model and no longer listed in triport.json; it was left as it is"]
    assert json.loads((tmp_path / "triport.json").read_text())["ports"].keys() == {"tflite"}


def test_a_port_without_its_runtime_is_not_verified_and_not_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROME", raising=False)
    report = export(perceptron(), tmp_path / "dist", ["onnx", "web"])
    assert [port.status for port in report.ports] == [Status.VERIFIED, Status.NOT_VERIFIED]
    assert report.status is Status.NOT_VERIFIED
    assert report.passed
    assert "apt-get install" in report.ports[1].runners[0].install


def test_strict_verification_wants_every_runtime_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROME", raising=False)
    with pytest.raises(EnvironmentError_, match="web cannot be verified here") as error:
        export(perceptron(), tmp_path / "dist", strict_verify=True)
    assert error.value.code == "TP313"
    assert not (tmp_path / "dist").exists()


def test_the_browser_steps_in_where_there_is_no_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from triport.runtime_checks.runners import Chromium

    browser = Chromium().found()
    assert browser
    monkeypatch.setenv("CHROME", browser)
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "dirname", "readlink", "uname", "sed", "cat", "grep", "cut", "ls"):  # what Debian's wrapper uses
        for folder in ("/bin", "/usr/bin"):
            if Path(folder, tool).exists() and not (tmp_path / "bin" / tool).exists():
                (tmp_path / "bin" / tool).symlink_to(Path(folder, tool))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    report = export(perceptron(), tmp_path / "dist", ["web"])
    assert [runner.runner for runner in report.ports[0].runners] == ["chromium"]
    assert report.status is Status.VERIFIED


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"to": []}, "each port once"),
        ({"to": ["onnx", "onnx"]}, "each port once"),
        ({"to": ["coreml"]}, "unknown port 'coreml'"),
        ({"to": ["onnx"], "runners": ["node"]}, r"node would have nothing to run(.|\n)*export .* --to onnx,web$"),
        ({"runners": ["safari"]}, "no runtime called 'safari'"),
        ({"verify": False, "samples": {}}, "without verification"),
        ({"verify": False, "strict_verify": True}, "without verification"),
        ({"verify": False, "runners": ["node"]}, "without verification"),
        ({"samples": {"picture": np.zeros(1)}}, "missing: image; unknown: picture"),
    ],
)
def test_what_would_be_ignored_is_refused(arguments: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        export(convnet(), tmp_path / "dist", **arguments)
    assert not (tmp_path / "dist").exists()


def test_what_is_no_model_is_refused_with_the_way_to_make_it_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"got list") as error:
        export([1], tmp_path)  # type: ignore[arg-type]
    assert "tp.capture" in (error.value.help or "")
