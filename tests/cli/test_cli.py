"""The command as users and scripts see it: exit codes, streams, texts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_graphs import convnet, perceptron, wide_numbers

from triport.cli import run
from triport.cli.main import VERBS
from triport.exporter.error_catalog import CATALOG
from triport.exporter.graph.file import save_graph

Say = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for graph in (convnet(), perceptron(), wide_numbers(), perceptron(broken=np.nan)):
        broken = "broken" if graph.name == "perceptron" and (folder / "perceptron.triport").exists() else graph.name
        save_graph(graph, folder / f"{broken}.triport")
    damaged = bytearray((folder / "convnet.triport").read_bytes())
    damaged[-5] ^= 0xFF
    (folder / "damaged.triport").write_bytes(damaged)
    (folder / "short.triport").write_bytes(damaged[:100])
    return folder


def triport(
    *arguments: object, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """A process of its own, with no terminal."""
    command = [sys.executable, "-m", "triport", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | (env or {}), cwd=cwd)


def test_an_export_prints_its_figures_on_stdout_and_talks_on_stderr(models: Path, tmp_path: Path) -> None:
    answer = triport("export", models / "perceptron.triport", "-o", tmp_path / "dist")
    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["port", "onnx", "tflite", "web"]
    assert all("verified" in line for line in lines[1:])
    assert "writing model.onnx" in answer.stderr
    assert "report.html" in answer.stderr
    assert "\x1b" not in answer.stdout + answer.stderr
    assert "INFO" not in answer.stderr


def test_json_is_all_that_is_on_stdout(models: Path, tmp_path: Path) -> None:
    answer = triport("export", models / "perceptron.triport", "--to", "onnx", "-o", tmp_path / "dist", "--json")
    document = json.loads(answer.stdout)
    assert (answer.returncode, document["status"]) == (0, "verified")
    assert document["ports"][0]["bytes"] == (tmp_path / "dist" / "model.onnx").stat().st_size
    verified = json.loads(
        triport("verify", tmp_path / "dist", "--model", models / "perceptron.triport", "--json").stdout
    )
    assert verified["status"] == "verified"


def test_without_verification_the_table_says_so(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", str(models / "convnet.triport"), "-o", str(tmp_path), "--no-verify"]) == 0
    assert capsys.readouterr().out.count("not verified") == 3


def test_verify_ends_with_1_when_a_port_disagrees(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", str(models / "convnet.triport"), "-o", str(tmp_path), "--no-verify"]) == 0
    assert run(["verify", str(tmp_path)]) == 0
    document = json.loads((tmp_path / "triport.json").read_text())
    document["golden"].reverse()
    document["golden"][0]["inputs"], document["golden"][1]["inputs"] = (
        g["inputs"] for g in reversed(document["golden"])
    )
    (tmp_path / "triport.json").write_text(json.dumps(document))
    capsys.readouterr()
    assert run(["verify", str(tmp_path)]) == 1
    streams = capsys.readouterr()
    assert streams.out.count("failed") == 3
    assert 'onnx in onnxruntime: output "scores" on golden 1: differs by' in streams.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["export", "{models}/convnet.triport", "--to", "coreml"], 2, "unknown port 'coreml'"),
        (["export", "{models}/convnet.triport", "--to", "onnx,"], 2, "is not a list of names"),
        (["export", "{models}/convnet.triport", "--no-verify", "--strict-verify"], 2, "without verification"),
        (["export", "{models}/convnet.triport", "--to", "onnx", "--in", "node"], 2, "node would have nothing to run"),
        (["export", "{models}/convnet.triport", "--in", "safari"], 2, "no runtime called 'safari'"),
        (["export", "{models}/nothing.triport"], 2, "nothing.triport"),
        (["export", "--tow", "onnx"], 2, "No such option"),
        (["export"], 2, "Missing argument"),
        (["frobnicate"], 2, "No such command"),
        (["explain", "TP999"], 2, "no error code 'TP999'"),
        (["inspect", "{models}/nothing.onnx"], 2, "does not exist"),
        (["export", "{models}/wide.triport"], 3, 'cast "step1" cannot be written to'),
        (["export", "{models}/broken.triport"], 3, 'linear "second" holds 1 NaN'),
        (["export", "{models}/convnet.triport", "-o", "{models}/convnet.triport/dist"], 4, "cannot be written"),
        (["export", "{models}/damaged.triport"], 5, "damaged"),
        (["export", "{models}/short.triport"], 5, "short.triport"),
        (["inspect", "{models}/short.triport"], 5, "short.triport"),
        (["verify", "{models}"], 5, "is not an export folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_every_failure_has_its_exit_code_and_no_traceback(
    arguments: list[str],
    code: int,
    words: str,
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([argument.format(models=models) for argument in arguments]) == code
    streams = capsys.readouterr()
    assert words in streams.err
    assert "Traceback" not in streams.err
    assert streams.out == ""
    assert os.listdir(tmp_path) == []


def test_a_missing_runtime_ends_with_4_only_where_it_must(models: Path, tmp_path: Path) -> None:
    bare = {"PATH": str(tmp_path), "CHROME": ""}
    command = ("export", models / "perceptron.triport", "--to", "web", "-o", tmp_path / "dist")
    strict = triport(*command, "--strict-verify", env=bare)
    assert strict.returncode == 4
    assert "error[TP313]: web cannot be verified here: Node is not on PATH" in strict.stderr
    lenient = triport(*command, env=bare)
    assert lenient.returncode == 0
    assert "not verified" in lenient.stdout
    assert "web not verified in node: Node is not on PATH: apt-get install nodejs" in lenient.stderr


def test_an_error_is_json_too_where_json_was_asked_for(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", str(models / "wide.triport"), "--to", "tflite", "--json"]) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] in CATALOG
    assert error["at"] == 'steps.py:11, layer "step1"'
    assert error["help"]


def test_an_error_reads_as_designed(models: Path) -> None:
    answer = triport("export", models / "wide.triport", "--to", "tflite")
    lines = answer.stderr.splitlines()
    assert re.match(r'error\[TP\d{3}\]: cast "step1" cannot be written to tflite: ', lines[0])
    assert lines[1] == '  at: steps.py:11, layer "step1"'
    assert lines[2].startswith("  because: ")
    assert '"step2" (steps.py:12, layer "step2")' in answer.stderr
    assert lines[-1].startswith("  help: ")
    assert "--to onnx" in lines[-1]


def test_a_traceback_comes_when_it_is_asked_for(models: Path) -> None:
    answer = triport("inspect", models / "short.triport", env={"TRIPORT_DEBUG": "1"})
    assert answer.returncode == 5
    assert "Traceback" in answer.stderr


def test_help_loads_nothing_that_computes() -> None:
    script = (
        "import sys; from triport.cli import run\n"
        "run(['--help']); run(['--version']); run(['explain', 'TP103'])\n"
        "heavy = {'numpy', 'torch', 'onnx', 'onnxruntime', 'rich', 'triport.runtime_checks'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "[]"
    assert all(verb in answer.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: triport {verb}")


@pytest.mark.parametrize("code", sorted(CATALOG))
def test_every_code_is_explained(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", code.lower()]) == 0
    assert capsys.readouterr().out.startswith(f"{code}: {CATALOG[code].title}")


def test_explain_alone_lists_every_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(CATALOG)


def test_inspect_says_what_a_file_holds(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(models / "convnet.triport")]) == 0
    text = capsys.readouterr().out
    assert "image float32[batch, 1, 8, 8]" in text
    assert "690, 2.76 kB" in text
    assert run(["inspect", str(models / "convnet.triport"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == 690


def test_doctor_knows_what_is_here_and_what_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    diagnosis = json.loads(capsys.readouterr().out)
    versions = {component["name"]: component["version"] for component in diagnosis["components"]}
    assert versions["numpy"] == np.__version__
    assert all(versions[name] for name in ("torch", "onnxruntime", "litert", "node", "chromium"))
    assert diagnosis["ports"] == {"onnx": "", "tflite": "", "web": ""}


def test_doctor_gives_the_install_line(tmp_path: Path) -> None:
    answer = triport("doctor", env={"PATH": str(tmp_path), "CHROME": ""})
    assert answer.returncode == 0
    assert re.search(r"node\s+missing .*apt-get install nodejs", answer.stdout)
    assert re.search(r"web\s+cannot be verified here: Node is not on PATH", answer.stdout)


def test_a_reader_that_goes_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "triport", "explain"]
    answer = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (answer.returncode, answer.stderr) == (0, "")
