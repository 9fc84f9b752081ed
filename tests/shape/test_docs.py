"""What the pages say exists, does: links, commands, error codes, and the README's code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from shape.source import ROOT

from triport.cli.main import VERBS
from triport.exporter.error_catalog import CATALOG

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```|`[^`\n]*`|^ {4}.*$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose)
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not missing


@each_page
def test_the_commands_and_codes_it_names_exist(page: Path) -> None:
    text = page.read_text()
    verbs = set(re.findall(r"(?:^ {4}|`)(?:\.venv/bin/)?triport ([a-z]+)", text, flags=re.MULTILINE))
    assert not verbs - VERBS.keys()
    assert not set(re.findall(r"\bTP\d{3}\b", text)) - CATALOG.keys()
    wanted = set(re.findall(r"(?:^ {4}|`)make ([a-z]+)", text, flags=re.MULTILINE))
    assert not wanted - set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def test_the_index_lists_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    missing = sorted(page for page in pages if page not in index)
    assert not missing


def test_the_readmes_python_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    before = (
        "import numpy as np, torch\n"
        "images = np.random.default_rng(0).random((200, 28, 28, 1), dtype=np.float32)\n"
        "labels = np.arange(200) % 10\n"
    )
    (tmp_path / "readme.py").write_text(before + "\n".join(blocks))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command_line = [sys.executable, "readme.py"]
    result = subprocess.run(command_line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert len(blocks) >= 2
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("verified") == 3
    assert (tmp_path / "mine.triport").is_file()


def test_the_readmes_javascript_runs(tmp_path: Path) -> None:
    """Against a bundle made for the model that the README shows; in Node, where the same file loads."""
    (script,) = re.findall(r"```js\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    make = (
        "import triport as tp\n"
        'layers = [tp.Input((28, 28, 1), name="image"), tp.layers.Flatten(), tp.layers.Dense(10, name="digit")]\n'
        "model = tp.Sequential(layers)\n"
        'model.describe(labels=list("abcdefghij"), preprocessing=tp.Preprocessing(channels="grey"))\n'
        'tp.export(model, ".", to=["web"], verify=False)\n'
    )
    subprocess.run([sys.executable, "-c", make], cwd=tmp_path, check=True)
    element = 'document.querySelector("img")'
    assert script.count(element) == 1
    pixels = "{ data: new Uint8Array(40 * 30 * 4), width: 40, height: 30 }"
    shown = "console.log(outputs.digit.shape.join(), /^[a-j]$/.test(best.label));\n"
    (tmp_path / "page.mjs").write_text(script.replace(element, pixels) + shown)
    result = subprocess.run(["node", "page.mjs"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "1,10 true", result.stderr


def test_pages_that_messages_name_exist() -> None:
    """A message whose help is a page that is not there sends its reader nowhere."""
    named = {
        (path.name, page)
        for folder in ("exporter", "quantize", "targets", "runtime_checks", "cli")
        for path in (ROOT / folder).rglob("*.py")
        for page in re.findall(r"(?<![\w/])docs/[\w-]+\.(?:md|py)", path.read_text("utf-8"))
    }
    assert named
    assert sorted(entry for entry in named if not (ROOT / entry[1]).is_file()) == []
