"""docs/format.md and what stands beside it say what the code does."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import zlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from graph.random_graphs import small_graph

import triport
from triport.exporter.graph import codec, container
from triport.exporter.version import VERSION

DOCS = Path(__file__).parents[2] / "docs"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def test_the_short_reader_reads_a_file_without_triport(tmp_path: Path) -> None:
    graph = small_graph()
    graph.save(tmp_path / "m.triport")
    reader = load("read_triport")
    document, constants = reader.read_triport(str(tmp_path / "m.triport"))
    assert [node["op"] for node in document["nodes"]] == ["linear", "linear"]
    assert constants.keys() == {"first.weight", "second.weight", "first.bias"}
    for value in graph.constants():
        assert np.array_equal(constants[value.name], value.array())
    source = (DOCS / "read_triport.py").read_text(encoding="utf-8")
    assert "import triport" not in source and len(source.splitlines()) <= 40
    command = [sys.executable, str(DOCS / "read_triport.py"), str(tmp_path / "m.triport")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "first:out: float32['batch', 4] = linear(x, first.weight, first.bias) {'activation': 'relu'}" in printed


def test_the_page_lists_the_keys_of_the_document() -> None:
    page = (DOCS / "format.md").read_text(encoding="utf-8")
    section = page[page.index("## The document") : page.index("A **declaration**")]
    rows = re.findall(r"^\| `(\w+)` \| (optional)?", section, re.MULTILINE)
    assert {name for name, optional in rows if not optional} == set(codec.REQUIRED_KEYS)
    assert {name for name, optional in rows if optional} == set(codec.OPTIONAL_KEYS)


def test_the_page_says_where_the_checksum_stands(tmp_path: Path) -> None:
    page = (DOCS / "format.md").read_text(encoding="utf-8")
    assert f"its bytes {len(container.CHECKSUM_START)} … {len(container.CHECKSUM_START) + 7}, counted from 0" in page
    assert f"`{container.CHECKSUM_START.decode()}`" in page
    small_graph().save(tmp_path / "m.triport")
    whole = (tmp_path / "m.triport").read_bytes()
    header = whole[8 : 8 + int.from_bytes(whole[:8], "little")]
    assert int(header[44:52], 16) == zlib.crc32(header[:44] + b"00000000" + header[52:])


def test_the_page_gives_the_limits() -> None:
    page = (DOCS / "format.md").read_text(encoding="utf-8")
    for limit in (container.MAX_HEADER, codec.FORMAT, 1000, 4096):
        assert f"{limit:,}" in page


def test_the_page_of_ops_is_up_to_date() -> None:
    assert load("make_ops").render() == (DOCS / "ops.md").read_text(encoding="utf-8"), "run: python docs/make_ops.py"


def test_the_page_of_ops_and_ports_is_up_to_date() -> None:
    page = (DOCS / "op-matrix.md").read_text(encoding="utf-8")
    assert load("make_op_matrix").render() == page, "run: python docs/make_op_matrix.py"


def test_files_carry_the_version_of_the_package() -> None:
    assert triport.__version__ == VERSION


@pytest.mark.parametrize("page", ["format.md", "ops.md", "op-matrix.md"])
def test_links_lead_to_pages_that_exist(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([\w./-]+)\)", text):
        assert (DOCS / target).exists(), target
