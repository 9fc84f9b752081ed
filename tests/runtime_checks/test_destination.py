"""An export replaces what an export wrote, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_graphs import convnet

from triport.exporter.errors import UsageError
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
