"""A skip that nobody expected fails the run; the listed ones do not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"


def run_pytest(folder: Path, source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one test file beside a copy of our conftest.py, in a process of its own."""
    shutil.copy(CONFTEST, folder / "conftest.py")
    (folder / "test_it.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, "."]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [(), ("-n", "1")], ids=["one process", "xdist"])
@pytest.mark.parametrize(
    "source",
    [
        "import pytest\ndef test_it(): pytest.skip('no such browser')\n",
        "import pytest\npytest.skip('no such browser', allow_module_level=True)\n",
        "import pytest\n@pytest.mark.skipif(True, reason='no such browser')\ndef test_it(): pass\n",
    ],
    ids=["in a test", "whole file", "mark"],
)
def test_an_unexpected_skip_fails_the_run_and_is_named(tmp_path: Path, source: str, arguments: tuple[str, ...]) -> None:
    result = run_pytest(tmp_path, source, *arguments)
    assert result.returncode == 1, result.stdout
    assert "skips that nobody expected" in result.stdout
    assert "no such browser" in result.stdout


@pytest.mark.parametrize(
    "source",
    [
        "import pytest\ndef test_it(): pytest.skip('needs a CUDA device')\n",
        "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False\n",
    ],
    ids=["listed reason", "expected failure"],
)
def test_an_expected_skip_does_not_fail_the_run(tmp_path: Path, source: str) -> None:
    result = run_pytest(tmp_path, source)
    assert result.returncode == 0, result.stdout
