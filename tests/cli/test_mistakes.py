"""What users pass by mistake is named as what it is, with what they probably wanted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_graphs import convnet

from triport.cli import run
from triport.exporter.graph.file import save_graph


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    save_graph(convnet(), folder / "m.triport")
    assert run(["export", str(folder / "m.triport"), "-o", str(folder / "dist"), "--no-verify"]) == 0
    (folder / "net.py").write_text("import torch\n")
    (folder / "weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(20))
    return folder


@pytest.mark.parametrize("verb", ["check", "export"])
@pytest.mark.parametrize(
    ("path", "kind", "help"),
    [
        ("dist", "is an export folder, and no .triport file", "triport verify {path}"),
        ("dist/web", "is a browser bundle", "triport inspect {path}"),
        ("dist/model.onnx", "is an ONNX model", "triport inspect {path}"),
        ("dist/model.tflite", "is a TFLite model", "triport inspect {path}"),
        (".", "is a folder", "name the .triport file in it"),
        ("net.py", "is Python source", "tp.capture(module, example)"),
        ("weights.h5", "is a file of Keras weights", "tp.capture(module, example)"),
    ],
)
def test_another_kind_of_file_is_named(
    verb: str, path: str, kind: str, help: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run([verb, str(place / path)]) == 2
    said = capsys.readouterr().err
    assert f"error[TP008]: {place / path} {kind}" in said
    assert help.format(path=place / path) in said


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("nope", 2, "does not exist"),
        ("dist/web", 5, "help: triport verify {place}/dist"),
        ("dist/model.onnx", 5, "help: triport verify {place}/dist"),
        ("m.triport", 5, "triport export {place}/m.triport -o dist"),
    ],
)
def test_verify_says_which_folder_it_wants(
    path: str, code: int, words: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", str(place / path)]) == code
    assert words.format(place=place) in capsys.readouterr().err


def test_inspect_names_what_it_cannot_read(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"weight": torch.zeros(2)}, place / "weights.pt")
    for name, kind in (("weights.pt", "a zip archive, as torch.save writes it"), ("net.py", "Python source")):
        assert run(["inspect", str(place / name)]) == 5
        assert f"{name} is {kind}, neither a .triport nor" in capsys.readouterr().err


@pytest.mark.parametrize("layout", [[], ["--input-layout", "nhwc"]])
def test_verify_takes_the_torch_program_that_was_exported(layout: list[str], tmp_path: Path) -> None:
    module, example = torch.nn.Conv2d(3, 2, 3), torch.ones(1, 3, 5, 6)
    torch.export.save(torch.export.export(module.eval(), (example,)), tmp_path / "m.pt2")
    export = ["export", str(tmp_path / "m.pt2"), "--to", "onnx", "-o", str(tmp_path / "dist"), "--no-verify"]
    assert run([*export, *layout]) == 0
    assert run(["verify", str(tmp_path / "dist"), "--model", str(tmp_path / "m.pt2")]) == 0
    assert run(["verify", str(tmp_path / "dist"), "--model", str(tmp_path / "dist")]) == 2


@pytest.mark.parametrize(("option", "words"), [("--to", "--to names nothing"), ("--in", "--in names nothing")])
def test_an_empty_list_names_its_option(
    option: str, words: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", str(place / "m.triport"), option, ""]) == 2
    assert words in capsys.readouterr().err


def test_ports_and_runtimes_may_be_written_in_capitals(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(place / "m.triport")
    assert run(["export", model, "--to", "ONNX,TFLite", "--in", "LiteRT-plain", "-o", str(tmp_path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [(port["target"], port["runners"][0]["runner"]) for port in report["ports"]] == [
        ("onnx", "onnxruntime"),
        ("tflite", "litert-plain"),
    ]
    assert run(["check", model, "--to", "Web", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["port"] == "web"
    assert run(["export", model, "--to", "onnx,ONNX", "-o", str(tmp_path)]) == 2


def test_an_unnamed_folder_is_not_the_current_one(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["export", str(place / "m.triport"), "-o", ""]) == 2
    assert "the output folder has an empty name" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:The tensor attributes self.rnn")
def test_inspect_reads_a_torch_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Text(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.places = torch.nn.Parameter(torch.zeros(64, 4))
            self.rnn = torch.nn.LSTM(4, 2, batch_first=True)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            y = x + self.places[: x.shape[1]]
            return {"y": y, "last": self.rnn(x[:, :5])[0][:, -1]}

    dims = {"x": {0: torch.export.Dim("n"), 1: torch.export.Dim("length", min=6, max=64)}}
    program = torch.export.export(Text().eval(), (torch.zeros(2, 7, 4),), dynamic_shapes=dims)
    torch.export.save(program, tmp_path / "text.pt2")
    assert run(["inspect", str(tmp_path / "text.pt2"), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["kind"], summary["name"], summary["parameters"]) == ("torch program", "text", 64 * 4 + 64)
    assert [t["shape"] for t in summary["inputs"]] == [["batch", "x_1", 4]]
    assert {t["name"]: t["shape"] for t in summary["outputs"]} == {"y": ["batch", "x_1", 4], "last": ["batch", 2]}
    assert summary["limits"] == {"x_1": [6, 64]}
    assert summary["ops"]["aten.lstm"] == 1
    assert not {"aten.sym_size", "getitem"} & summary["ops"].keys()
    assert "sequence length of 5" in summary["notices"][0]
    assert run(["inspect", str(tmp_path / "text.pt2")]) == 0
    assert "x_1: 6 to 64" in capsys.readouterr().out
    (tmp_path / "text.pt2").write_bytes(b"PK\x03\x04 and no more")
    assert run(["inspect", str(tmp_path / "text.pt2")]) == 5


def test_inspect_shows_limits_multiples_and_notices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import triport as tp

    class Rows(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            pairs = x.reshape(x.shape[0], x.shape[1] // 4, 4, 3).double().sum(2)
            return torch.topk(pairs, 2, 1)[0]

    graph = tp.capture(Rows(), torch.rand(1, 16, 3), dynamic={"x": {0: "batch", 1: "rows"}})
    graph.save(tmp_path / "m.triport")
    assert run(["inspect", str(tmp_path / "m.triport")]) == 0
    text = capsys.readouterr().out
    assert "rows_over_4*4: a multiple of 4, 8 at least" in text
    assert "computed in float32 instead of float64" in text
    assert run(["export", str(tmp_path / "m.triport"), "-o", str(tmp_path / "dist"), "--no-verify"]) == 0
    capsys.readouterr()
    assert run(["inspect", str(tmp_path / "dist"), "--json"]) == 0
    folder = json.loads(capsys.readouterr().out)
    bundle = next(part for part in folder["parts"] if part["kind"] == "browser bundle")
    assert folder["limits"] == bundle["limits"] == {"rows_over_4": [2, None]}


def test_inspect_says_when_the_system_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unreadable = Path("/proc/self/mem")
    if not unreadable.exists():
        pytest.skip("needs Linux's /proc")
    assert run(["inspect", str(unreadable)]) == 4
    assert "error[TP340]" in capsys.readouterr().err


def test_a_column_too_many_in_the_labels_shows_the_labels_own_shape() -> None:
    import triport as tp

    model = tp.Sequential([tp.Input((4,)), tp.layers.Dense(1)])
    model.compile(loss="mse")
    with pytest.raises(
        tp.errors.UsageError, match=r"y_true has shape \[10, 3\] and y_pred has shape \[10, 1\]"
    ) as told:
        model.fit(np.zeros((10, 4)), np.zeros((10, 3)), verbose=0)
    assert told.value.help == "give the last layer 3 outputs instead of 1, or change the labels"
