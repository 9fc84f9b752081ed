"""``triport quantize``, ``diff``, and what the other verbs say of quantized models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_graphs import convnet

from triport.cli import run
from triport.exporter.graph import DType, Graph
from triport.quantize import Plan
from triport.quantize.engine import as_codes


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """m.triport and data.npz, in the current folder."""
    monkeypatch.chdir(tmp_path)
    convnet().save("m.triport")
    images = np.random.default_rng(0).normal(0, 1, (40, 1, 8, 8)).astype(np.float32)
    np.savez("data.npz", image=images)
    np.savez("labelled.npz", image=images, digit=np.arange(40) % 10)
    np.savez("from_one.npz", image=images, digit=np.arange(40) % 10 + 1)
    return tmp_path


def test_the_plan_is_shown_and_the_model_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quantize", "m.triport", "--calibration", "data.npz", "--keep-float", "soft*", "-o", "q.triport"]) == 0
    shown = capsys.readouterr()
    lines = {line.split()[0]: line.split() for line in shown.out.splitlines() if line}
    assert lines["stem"][:3] == ["stem", "conv2d", "int8"]
    assert lines["pool"][2] == "moves" and lines["pool"][3:5] == lines["stem"][3:5]
    assert " ".join(lines["softmax"][2:]) == 'float kept float by "soft*"'
    assert "2 int8, 2 moves, 1 float" in shown.err and "written to q.triport" in shown.err
    assert Graph.load("q.triport").metadata["quantization"]["scheme"] == "int8"


def test_a_plan_is_written_edited_compared_and_followed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quantize", "m.triport", "--calibration", "data.npz", "--plan-out", "a.json"]) == 0
    assert not list(folder.glob("*.onnx")) and "was not written" in capsys.readouterr().err
    text = Path("a.json").read_text().replace('{"name": "head", "form": "int8"}', '{"name": "head", "form": "float"}')
    Path("b.json").write_text(text)
    assert run(["diff", "a.json", "b.json"]) == 0
    assert capsys.readouterr().out.splitlines() == ["node head: int8 → float"]
    assert run(["diff", "a.json", "a.json", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run(["quantize", "m.triport", "--plan", "b.json", "-o", "q.triport", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["float"] == [["the plan was edited so", ["head"]]]
    assert {entry["name"]: entry["form"] for entry in answer["plan"]}["head"] == "float"
    assert Plan.load("b.json").nodes["head"].form.value == "float"


def test_exports_of_quantized_models_say_what_is_bit_identical(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["quantize", "m.triport", "--calibration", "data.npz", "-o", "q.triport", "--io", "uint8"]) == 0
    assert run(["export", "q.triport", "--to", "onnx,web", "-o", "dist"]) == 0
    shown = capsys.readouterr()
    assert shown.out.count("bit-identical") == 2
    assert 'bit-identical in onnxruntime, node: "scores"' in shown.err
    assert json.loads(Path("dist/report.json").read_text())["bit_identical"] == ["scores"]
    described = json.loads(Path("dist/triport.json").read_text())
    assert described["quantization"]["scheme"] == "int8"
    assert described["outputs"][0]["exact"] is True and described["outputs"][0]["dtype"] == "uint8"
    assert "bit-identical in" in Path("dist/report.html").read_text()
    assert run(["verify", "dist", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["limits"]["scores"]["tolerance"]["name"] == "EXACT" and report["bit_identical"] == ["scores"]


def test_verify_holds_float32_outputs_that_are_promised_bit_for_bit_to_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["quantize", "m.triport", "--calibration", "data.npz", "-o", "q.triport"]) == 0
    assert run(["export", "q.triport", "--to", "onnx", "-o", "dist", "--no-verify"]) == 0
    capsys.readouterr()
    assert run(["verify", "dist", "--json"]) == 0
    limit = json.loads(capsys.readouterr().out)["limits"]["scores"]
    assert (limit["dtype"], limit["tolerance"]["name"], limit["bound"]) == ("float32", "EXACT", 0)


def test_inspect_tells_scales_everywhere(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["quantize", "m.triport", "--calibration", "data.npz", "-o", "q.triport", "--io", "int8"])
    run(["export", "q.triport", "-o", "dist", "--no-verify"])
    (x,) = Graph.load("q.triport").inputs
    for path in ("q.triport", "dist", "dist/model.onnx", "dist/model.tflite", "dist/web"):
        capsys.readouterr()
        assert run(["inspect", path]) == 0
        assert f"] {x.quantization}" in capsys.readouterr().out, path
    assert run(["inspect", "q.triport", "--values", "--json"]) == 0
    values = {value["name"]: value["quantization"] for value in json.loads(capsys.readouterr().out)["values"]}
    assert len(values) == 6 and values["image"] == str(x.quantization)
    assert run(["inspect", "q.triport", "--values"]) == 0
    assert "flatten:out" in capsys.readouterr().out


def test_a_torch_program_is_quantized(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)).eval()
    torch.export.save(torch.export.export(module, (torch.zeros(3, 4),)), "m.pt2")
    np.save("rows.npy", np.random.default_rng(0).normal(0, 1, (39, 4)).astype(np.float32))
    assert run(["quantize", "m.pt2", "--calibration", "rows.npy", "-o", "q.triport"]) == 0
    assert any(value.type.dtype is DType.INT8 for node in Graph.load("q.triport").nodes for value in node.outputs)


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        ([], 2, "TP051"),
        (["--calibration", "nothing.npz"], 2, "TP001"),
        (["--calibration", "m.triport"], 2, "TP051"),
        (["--calibration", "data.npz", "--observer", "median"], 2, "minmax, moving-average"),
        (["--calibration", "data.npz", "--scheme", "int3"], 2, "TP050"),
        (["--calibration", "data.npz", "--keep-float", "nobody"], 2, "there are: stem, pool"),
        (["--calibration", "data.npz", "--plan", "a.json"], 2, "--calibration would be ignored"),
        (["--plan", "missing.json"], 2, "TP001"),
        (["--plan", "data.npz"], 5, "TP053"),
        (["--calibration", "data.npz", "--max-drop", "1", "--validation", "data.npz"], 2, "one array of labels"),
        (["--scheme", "float16", "--calibration", "data.npz"], 2, "--calibration would be ignored: scheme float16"),
        (["--scheme", "int8-weights", "--calibration", "data.npz"], 2, "only with --recover gptq or adaround"),
        (["--calibration", "data.npz", "--validation", "labelled.npz"], 2, "may be lost, --max-drop 0.5, or leave out"),
        (["--calibration", "data.npz", "--max-drop", "1"], 2, "help: --validation FILE.npz, which holds an array"),
        (["--calibration", "data.npz", "--max-drop", "-1", "--validation", "labelled.npz"], 2, "not in the range x>=0"),
        (["--calibration", "labelled.npz"], 2, 'of labelled.npz do not match the inputs: "digit" is no input\n'),
        (["--calibration", "data.npz", "--max-drop", "1", "--validation", "from_one.npz"], 2, "subtract 1 from the"),
        (["--calibration", "data.npz", "--recover", "luck"], 2, "recover is one of: equalize, bias"),
        (["--calibration", "data.npz", "--strict", "--weights", "paired"], 2, "int8-strict has no paired weights"),
        (["--calibration", "data.npz", "--block", "32"], 2, "scheme int8 has no blocks"),
        (["--calibration", "data.npz", "--plan-out", "."], 2, "error[TP001]: . is a folder"),
    ],
)
def test_what_cannot_be_meant_is_told_and_nothing_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, told: str
) -> None:
    assert run(["quantize", "m.triport", *arguments, "-o", "q.triport"]) == status
    assert told in capsys.readouterr().err
    assert not Path("q.triport").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--observer", "median"],
        ["--strict", "--weights", "paired"],
        ["--recover", "luck"],
        ["--validation", "labelled.npz"],
        ["-o", "."],
        ["-o", ""],
    ],
)
def test_options_are_looked_at_before_the_model_is(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert run(["quantize", "missing.triport", "--calibration", "data.npz", *options]) == 2
    said = capsys.readouterr().err
    assert "missing" not in said and "calibrating" not in said


def test_a_bound_says_what_accuracy_was_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bound = ["--calibration", "data.npz", "--max-drop", "100", "--validation", "labelled.npz"]
    assert run(["quantize", "m.triport", *bound, "--plan-out", "a.json"]) == 0
    shown = capsys.readouterr()
    assert 'accuracy by the output "scores" on 40 samples: ' in shown.err
    assert "no layer kept float for it, and so none was ranked" in shown.err
    assert "sqnr" not in shown.out
    assert json.loads(Path("a.json").read_text())["accuracy"]["samples"] == 40
    assert run(["quantize", "m.triport", *bound, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["accuracy"]["output"] == "scores" and told["sensitivity"] == []
    assert run(["quantize", "m.triport", "--plan", "a.json"]) == 0
    assert "accuracy by" not in capsys.readouterr().err


@pytest.mark.parametrize("io", ["float32", "uint8"])
def test_accuracy_is_that_of_the_file_where_other_integers_are_chosen(
    folder: Path, capsys: pytest.CaptureFixture[str], io: str
) -> None:
    bound = ["--calibration", "data.npz", "--max-drop", "100", "--validation", "labelled.npz", "--io", io]
    assert run(["quantize", "m.triport", *bound, "--recover", "affine", "-o", "q.triport"]) == 0
    assert " % as written, with other integers" in capsys.readouterr().err
    assert run(["quantize", "m.triport", *bound, "--recover", "bias", "--json"]) == 0
    assert 0 <= json.loads(capsys.readouterr().out)["accuracy"]["as_written"] <= 1
    assert run(["quantize", "m.triport", *bound, "--recover", "equalize"]) == 0
    assert "as written" not in capsys.readouterr().err


def test_layers_are_ranked_where_too_much_is_lost(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.random.default_rng(1).normal(0, 1, (2000, 1, 8, 8)).astype(np.float32)
    scores = Graph.load("m.triport").run({"image": images})["scores"]
    first, second = np.sort(scores, axis=1)[:, :-3:-1].T
    narrow = np.argsort(first - second)[:40]
    np.savez("narrow.npz", image=images[narrow], digit=scores[narrow].argmax(1))
    bound = ["--calibration", "data.npz", "--max-drop", "0", "--validation", "narrow.npz"]
    assert run(["quantize", "m.triport", *bound, "-o", "q.triport"]) == 0
    shown = capsys.readouterr()
    assert "kept float for it" in shown.err and "none was ranked" not in shown.err
    assert "sqnr" in shown.out and sum(line.startswith("stem ") for line in shown.out.splitlines()) == 2
    assert run(["quantize", "m.triport", *bound, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["node"] for one in told["sensitivity"]} >= {"stem", "head"}


def test_a_plan_for_another_scheme_than_asked_for_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["quantize", "m.triport", "--calibration", "data.npz", "--plan-out", "a.json"]) == 0
    assert run(["quantize", "m.triport", "--plan", "a.json", "--strict"]) == 2
    assert "scheme int8-strict would be ignored: the plan is for int8" in capsys.readouterr().err


@pytest.mark.parametrize(("dtype", "lowest"), [("uint8", 0), ("int8", -128)])
def test_real_numbers_where_codes_are_taken_are_told_how_to_become_codes(
    folder: Path, capsys: pytest.CaptureFixture[str], dtype: str, lowest: int
) -> None:
    assert run(["quantize", "m.triport", "--calibration", "data.npz", "--io", dtype, "-o", "q.triport"]) == 0
    assert run(["export", "q.triport", "--to", "onnx", "--samples", "data.npz"]) == 2
    told = capsys.readouterr().err
    (advice,) = (line for line in told.splitlines() if "help:" in line)
    image = np.load("data.npz")["image"]
    expression = advice.partition("pass ")[2].rpartition(": codes")[0]
    codes = eval(expression, {"np": np, "image": image})
    (value,) = Graph.load("q.triport").inputs
    assert codes.dtype == dtype and f", {lowest}, {lowest + 255})" in expression
    assert np.array_equal(codes, as_codes(image, value.type))
    np.savez("codes.npz", image=codes)
    assert run(["export", "q.triport", "--to", "onnx", "--samples", "codes.npz"]) == 0
