"""Labels and preprocessing that come from the command line reach the pages, and mistakes in them are named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_graphs import convnet

from triport import Graph, Preprocessing, capture
from triport.cli import run
from triport.exporter.errors import UsageError

LABELS = [f"digit {i}" for i in range(10)]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    convnet().save(tmp_path / "m.triport")
    (tmp_path / "labels.txt").write_text("\n".join(LABELS) + "\n\n", encoding="utf-8")
    return tmp_path / "m.triport"


def test_what_is_described_is_exported(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "described.triport"
    rules = "range=-2,2 channels=grey resize=nearest"
    labels = str(tmp_path / "labels.txt")
    assert run(["describe", str(model), "-o", str(out), "--labels", labels, "--preprocessing", rules]) == 0
    assert "digit 0, digit 1" in capsys.readouterr().out
    assert run(["export", str(out), "--to", "web", "-o", str(tmp_path / "dist"), "--no-verify"]) == 0
    document = json.loads((tmp_path / "dist/triport.json").read_text())
    (output,) = document["labels"]
    (input,) = document["preprocessing"]
    assert document["labels"][output] == LABELS
    wanted = Preprocessing((8, 8), range=(-2, 2), channels="grey", resize="nearest")
    assert document["preprocessing"][input] == wanted.to_json()


def test_a_file_described_again_keeps_the_rest(model: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.json").write_text('{"mean": [0.25]}')
    (tmp_path / "labels.json").write_text(json.dumps(LABELS))
    assert run(["describe", str(model), "-o", str(model), "--preprocessing", str(tmp_path / "rules.json")]) == 0
    assert run(["describe", str(model), "-o", str(model), "--labels", str(tmp_path / "labels.json")]) == 0
    graph = Graph.load(model)
    assert Preprocessing.of(graph).mean == (0.25,)
    assert run(["describe", str(model), "-o", str(model), "--preprocessing", "std=0.5"]) == 0
    rules = Preprocessing.of(Graph.load(model))
    assert (rules.mean, rules.std, rules.channels) == ((0.25,), (0.5,), "grey")
    assert list(graph.metadata["labels"].values()) == [LABELS]
    x = np.random.default_rng(0).normal(size=(2, 1, 8, 8)).astype(np.float32)
    before = convnet().run({graph.inputs[0].name: x})
    for name, answer in graph.run({graph.inputs[0].name: x}).items():
        np.testing.assert_array_equal(answer, before[name])


def test_a_torch_program_is_described(tmp_path: Path) -> None:
    program = torch.export.export(torch.nn.Conv2d(3, 4, 3).eval(), (torch.zeros(1, 3, 8, 8),))
    torch.export.save(program, tmp_path / "m.pt2")
    out = tmp_path / "m.triport"
    rules = "mean=0.485,0.456,0.406 std=0.25 shorter_side=12 size=8x8 background=0,0,0"
    assert run(["describe", str(tmp_path / "m.pt2"), "-o", str(out), "--preprocessing", rules]) == 0
    expected = Preprocessing((8, 8), mean=(0.485, 0.456, 0.406), std=0.25, shorter_side=12, background=(0, 0, 0))
    assert Preprocessing.of(Graph.load(out)) == expected


def test_a_name_is_written_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.triport"
    capture(torch.nn.Identity(), torch.ones(2, 3)).save(path)
    assert run(["describe", str(path), "-o", str(path), "--name", "digits"]) == 0
    assert Graph.load(path).name == "digits" and "name: digits" in capsys.readouterr().out


def test_labels_of_another_output_stay(tmp_path: Path) -> None:
    class Two(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x[:, :2] * 2, x * 3

    path = tmp_path / "m.triport"
    capture(Two(), torch.ones(2, 3)).save(path)
    for names in (["a", "b", "c"], ["u", "v"]):
        (tmp_path / "labels.txt").write_text("\n".join(names))
        assert run(["describe", str(path), "-o", str(path), "--labels", str(tmp_path / "labels.txt")]) == 0
    assert list(Graph.load(path).metadata["labels"].values()) == [["u", "v"], ["a", "b", "c"]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no labels, no preprocessing and no name"),
        (["--name", " "], "has to be of printed characters, got ' '"),
        (["--name", "a\nb"], "has to be of printed characters"),
        (["--labels", "{place}/nothing.txt"], "cannot be read"),
        (["--labels", "{place}/gap.txt"], "no name in line 2"),
        (["--labels", "{place}/three.txt"], "3 labels were given"),
        (["--labels", "{place}/number.json"], "a list of names"),
        (["--labels", "{place}/m.triport"], "no text in UTF-8"),
        (["--preprocessing", "mean"], "key=value pairs or a .json file, got 'mean'"),
        (["--preprocessing", ""], "key=value pairs or a .json file, got ''"),
        (["--preprocessing", "men=0.5"], "preprocessing has no 'men'"),
        (["--preprocessing", "mean=half"], "mean has to be a number"),
        (["--preprocessing", "{place}/broken.json"], "are no JSON"),
        (["--preprocessing", "{place}/null.json"], "mean has to be 1 or 3 finite numbers, got None"),
        (["--preprocessing", "channels=rgb"], "whose images have 1 channels"),
        (["--preprocessing", "size=16x16"], "and size [16, 16] is declared"),
        (["--preprocessing", "mean=0.5 mean=0.7"], "mean is given twice"),
        (["--preprocessing", "{place}/nothing.json"], "nothing.json cannot be read\n  because: No such file"),
        (["--preprocessing", "mean=0.5", "-o", "{place}/out.pt2"], "is no name of a .triport file"),
    ],
)
def test_mistakes_are_named_and_nothing_is_written(
    arguments: list[str], words: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gap.txt").write_text("a\n\nb\n")
    (tmp_path / "three.txt").write_text("a\nb\nc\n")
    (tmp_path / "number.json").write_text("3")
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "null.json").write_text('{"mean": null}')
    out = tmp_path / "out.triport"
    given = [argument.format(place=tmp_path) for argument in arguments]
    assert run(["describe", str(model), "-o", str(out), *given]) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_is_no_file_to_write(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(model.parent)
    Path("taken.triport").mkdir()
    for out, told in ((".", ". is "), ("..", ".. is "), ("", " is no name"), ("taken.triport", "is a folder")):
        assert run(["describe", str(model), "-o", out, "--preprocessing", "channels=grey"]) == 2
        assert "error[TP001]" in (said := capsys.readouterr().err) and told in said
    for name in (".", "taken.triport"):
        with pytest.raises(UsageError, match="is a folder, and what is written is one file"):
            Graph.load(model).save(name)
