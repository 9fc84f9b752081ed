"""What was in an export folder stays whole until what replaces it is whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from triport.exporter.errors import EnvironmentError_
from triport.runtime_checks.staging import PREFIX, Staging, disk_errors


def write(staging: Staging, name: str, text: str) -> None:
    path = staging.path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def test_files_and_folders_take_the_place_of_what_was_there(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with Staging(tmp_path) as staging:
            write(staging, "model.onnx", text)
            write(staging, f"web/{text}.js", text)
            staging.publish("model.onnx")
            staging.publish("web")
    assert (tmp_path / "model.onnx").read_text() == "new"
    assert [path.name for path in (tmp_path / "web").iterdir()] == ["new.js"]
    assert sorted(os.listdir(tmp_path)) == ["model.onnx", "web"]


def test_a_folder_changes_place_without_the_system_call_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda *a, **k: object())
    test_files_and_folders_take_the_place_of_what_was_there(tmp_path)


def test_a_file_takes_the_place_of_a_folder_and_a_folder_that_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "web").write_text("a file")
    (tmp_path / "model.onnx").mkdir()
    with Staging(tmp_path) as staging:
        write(staging, "web/index.js", "")
        write(staging, "model.onnx", "")
        staging.publish("web")
        staging.publish("model.onnx")
    assert (tmp_path / "web").is_dir()
    assert (tmp_path / "model.onnx").is_file()


def test_nothing_is_left_of_an_export_that_fails(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with pytest.raises(RuntimeError), Staging(folder) as staging:
        write(staging, "model.onnx", "half")
        raise RuntimeError
    assert not (tmp_path / "a").exists()


def test_a_folder_that_was_there_before_stays_when_an_export_fails(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("old")
    with pytest.raises(RuntimeError), Staging(tmp_path) as staging:
        write(staging, "model.onnx", "half")
        raise RuntimeError
    assert os.listdir(tmp_path) == ["model.onnx"]
    assert (tmp_path / "model.onnx").read_text() == "old"


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from triport.runtime_checks.staging import Staging\n"
        "with Staging(Path(sys.argv[1])) as staging:\n"
        "    (staging.path / 'model.onnx').write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    (tmp_path / "model.onnx").write_text("old")
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert (tmp_path / "model.onnx").read_text() == "old"
    assert all(name == "model.onnx" or name.startswith(PREFIX) for name in os.listdir(tmp_path))
    assert len(os.listdir(tmp_path)) > 1
    with Staging(tmp_path):
        pass
    assert os.listdir(tmp_path) == ["model.onnx"]


def test_the_staging_folder_of_a_living_process_stays(tmp_path: Path) -> None:
    with Staging(tmp_path) as first, Staging(tmp_path):
        assert first.path.exists()


def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(EnvironmentError_, match="file/dist cannot be written") as error,
        Staging(tmp_path / "file" / "dist"),
    ):
        pass
    assert error.value.code == "TP311"


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    # A limit on the size of files makes the system refuse writes just as a full disk does.
    script = """
import resource, signal, sys
from pathlib import Path
from triport.exporter.errors import EnvironmentError_
from triport.runtime_checks.staging import Staging, disk_errors
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with Staging(Path(sys.argv[1])) as staging, disk_errors(staging.folder):
        (staging.path / "model.onnx").write_bytes(bytes(5000))
except EnvironmentError_ as error:
    print(error.code)
"""
    answer = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert answer.stdout == "TP312\n"
    assert os.listdir(tmp_path) == []


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("needs a user other than root")
    tmp_path.chmod(0o500)
    with pytest.raises(EnvironmentError_) as error, Staging(tmp_path / "dist"):
        pass
    assert error.value.code == "TP311"


def test_other_errors_of_the_system_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentError_, match="choose another folder with -o"), disk_errors(tmp_path):
        (tmp_path / "no" / "such").write_text("")


def test_only_a_folder_that_an_export_made_is_discarded(tmp_path: Path) -> None:
    (tmp_path / "failed").mkdir()
    with Staging(tmp_path) as staging:
        staging.discard("failed")
    assert (tmp_path / "failed").exists()
    (tmp_path / "failed" / "report.json").write_text("{}")
    with Staging(tmp_path) as staging:
        staging.discard("failed")
    assert not (tmp_path / "failed").exists()
