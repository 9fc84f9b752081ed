from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_graphs import convnet

from triport.exporter.graph import Graph
from triport.exporter.graph.file import save_graph
from triport.runtime_checks import export


@pytest.fixture(scope="session")
def graph() -> Graph:
    return convnet()


@pytest.fixture(scope="session")
def model_file(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "convnet.triport"
    save_graph(graph, path)
    return path


@pytest.fixture(scope="session")
def exported(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export folder of all three ports; tests do not change it."""
    folder = tmp_path_factory.mktemp("export") / "dist"
    export(graph, folder, verify=False)
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Path]:
    """A folder for a hand-written index.js."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    yield folder
