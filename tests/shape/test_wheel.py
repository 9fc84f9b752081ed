"""The built wheel works on its own, outside the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from shape.source import ROOMS, ROOT, packages_on_disk

READ_BY_CODE = {".html", ".js", ".json", ".mjs", ".ts", ".wasm"}
LEFT_OUT = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "node_modules")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy under a name with a dot, so that nothing is left in the checkout and no name helps."""
    copy = tmp_path_factory.mktemp("wheel") / "copy-1.x"
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", "out", "."]
    subprocess.run(command, cwd=copy, check=True, capture_output=True, text=True)
    (path,) = (copy / "out").glob("triport-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel was installed into; its dependencies come from the environment of the tests."""
    target = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(target),
        str(wheel),
    ]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return target


def run(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python in an empty folder with the installed wheel before anything else on its path."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    cwd = installed / "elsewhere"
    cwd.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_the_wheel_holds_every_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packages = sorted(
        name.removesuffix("/__init__.py").replace("/", ".") for name in names if name.endswith("/__init__.py")
    )
    assert packages == packages_on_disk()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"triport"}
    assert "triport/py.typed" in names
    assert not [
        name for name in names if name.startswith(("triport/tests/", "triport/examples/", "triport/benchmarks/"))
    ]


def test_the_wheel_holds_every_file_that_the_code_reads(wheel: Path) -> None:
    """Users have no compiler and no checkout: compiled kernels, scripts and pages travel with the Python files."""
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        "/".join(("triport", *path.relative_to(ROOT).parts))
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and path.suffix in READ_BY_CODE and "__pycache__" not in path.parts
    }
    assert {path.rsplit(".", 1)[1] for path in wanted} >= {"wasm", "js"}
    assert wanted <= names, sorted(wanted - names)


def test_it_is_imported_from_where_it_was_installed(installed: Path) -> None:
    result = run(installed, "-c", "import triport; triport.errors; print(triport.__file__)")
    assert result.returncode == 0, result.stderr
    assert Path(result.stdout.strip()) == installed / "triport" / "__init__.py"


def test_every_public_name_loads(installed: Path) -> None:
    result = run(installed, "-c", "import triport\nfor name in triport.__all__: getattr(triport, name)")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("export", "--help"), ("doctor", "--help")])
def test_the_command_runs(installed: Path, arguments: tuple[str, ...]) -> None:
    result = run(installed, "-m", "triport", *arguments)
    assert result.returncode == 0, result.stderr
    assert "Usage:" in result.stdout


def test_the_console_script_is_there(installed: Path) -> None:
    script = installed / "bin" / "triport"
    result = subprocess.run(
        [sys.executable, script, "--help"],
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
