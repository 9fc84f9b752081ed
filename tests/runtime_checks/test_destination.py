"""An export replaces what an export wrote, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_graphs import convnet

from triport.cli import run
from triport.exporter.errors import UsageError
from triport.exporter.graph.file import save_graph
from triport.runtime_checks import export


def refused(folder: Path, *to: str) -> UsageError:
    with pytest.raises(UsageError) as told:
        export(convnet(), folder, to or ("onnx", "web"), verify=False)
    assert told.value.code == "TP009"
    return told.value


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "dist").write_text("notes")
    assert "is a file, and an export is a folder" in refused(tmp_path / "dist").message
    assert (tmp_path / "dist").read_text() == "notes"


def test_a_web_folder_of_somebody_else_stays(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "index.html").write_text("mine")
    told = refused(tmp_path)
    assert "web was not written by triport" in told.message
    assert "web/index.html" in str(told.because)
    assert [path.name for path in tmp_path.iterdir()] == ["web"]
    export(convnet(), tmp_path, ("onnx",), verify=False)  # does not touch it
    assert (tmp_path / "web" / "index.html").read_text() == "mine"


def test_an_own_bundle_is_replaced_unless_something_was_added(tmp_path: Path) -> None:
    export(convnet(), tmp_path, ("web",), verify=False)
    (tmp_path / "web" / ".DS_Store").write_text("left by a file browser")
    export(convnet(), tmp_path, ("web",), verify=False)
    assert not (tmp_path / "web" / ".DS_Store").exists()
    (tmp_path / "web" / "app.html").write_text("mine")
    assert "web/app.html" in str(refused(tmp_path).because)
    assert (tmp_path / "web" / "app.html").exists()
    (tmp_path / "triport.json").unlink()  # as after an export that was killed: the bundle alone says what it is
    export(convnet(), tmp_path, ("web",), verify=False)


def test_an_empty_web_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    export(convnet(), tmp_path, ("web",), verify=False)
    assert (tmp_path / "web" / "plan.json").exists()


@pytest.mark.parametrize("name", ["model.onnx", "triport.json", "report.html"])
def test_a_folder_in_the_place_of_a_file_stays(name: str, tmp_path: Path) -> None:
    (tmp_path / name / "kept").mkdir(parents=True)
    assert "is a folder, and an export writes a file there" in refused(tmp_path).message
    assert (tmp_path / name / "kept").exists()


def test_a_file_in_the_place_of_the_bundle_stays(tmp_path: Path) -> None:
    (tmp_path / "web").write_text("mine")
    assert "is a file, and an export writes a folder there" in refused(tmp_path).message


def test_ports_are_names(tmp_path: Path) -> None:
    wrong: Any = 3
    with pytest.raises(UsageError, match="unknown port 3"):
        export(convnet(), tmp_path / "dist", wrong)
    assert not (tmp_path / "dist").exists()


VITE = {"vite.config.ts": "", "package.json": '{"devDependencies": {"vite": "^8.0.0"}}'}


def project(folder: Path, **files: str) -> Path:
    """A folder with these files."""
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("file", VITE)
def test_an_export_that_vite_would_delete_has_a_note(file: str, tmp_path: Path) -> None:
    site = project(tmp_path / "site", **{file: VITE[file]})
    for place in (site / "dist", site / "dist" / "model"):
        (note,) = export(convnet(), place, ("web",), verify=False).notes
        assert note == (
            f"vite build empties dist/ beside {file}, unless its outDir is another, and would delete this export: "
            "choose another folder, such as -o model"
        )
    assert not export(convnet(), site / "model", ("web",), verify=False).notes
    assert not export(convnet(), site / "dist2", ("web",), verify=False).notes
    assert not export(convnet(), site / "dist", ("onnx",), verify=False).notes


@pytest.mark.parametrize(
    "package", ['{"dependencies": {"webpack": "5"}}', '{"dependencies": null, "name": "vite"}', "[]", "damaged"]
)
def test_another_project_has_none(package: str, tmp_path: Path) -> None:
    site = project(tmp_path / "site", **{"package.json": package, "webpack.config.js": ""})
    assert not export(convnet(), site / "dist", ("web",), verify=False).notes


def test_the_command_prints_the_note_and_json_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_graph(convnet(), tmp_path / "m.triport")
    monkeypatch.chdir(project(tmp_path / "site", **VITE))
    arguments = ["export", "../m.triport", "--to", "web", "--no-verify"]
    assert run(arguments) == 0
    assert "note: vite build empties dist/ beside vite.config.ts, " in capsys.readouterr().err
    assert run([*arguments, "--json"]) == 0
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert note.startswith("vite build empties dist/ beside vite.config.ts, ")
