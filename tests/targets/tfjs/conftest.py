"""One Node process for each backend of TensorFlow.js, in which one model after the other is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from npm_packages import WEB_RUNTIMES, installed

from triport.exporter.graph import Graph
from triport.runtime_checks.runners.bundle import BundleSession
from triport.runtime_checks.runners.node import NodeProcess
from triport.runtime_checks.runners.tfjs import Backend, Tfjs, open_model
from triport.targets.prepare import prepare
from triport.targets.tfjs import TfjsTarget

Open = Callable[[Graph, Backend], BundleSession]


@pytest.fixture(scope="session")
def packages() -> Path:
    """A folder whose node_modules hold TensorFlow.js."""
    return installed(WEB_RUNTIMES)


@pytest.fixture(scope="session")
def processes(packages: Path) -> Iterator[dict[Backend, NodeProcess]]:
    started = {backend: Tfjs(packages, backend).process() for backend in Backend}
    yield started
    for process in started.values():
        process.close()


@pytest.fixture
def open_graph(processes: dict[Backend, NodeProcess], tmp_path: Path) -> Open:
    """Writes a graph, unless that is done already, and opens it in a backend."""
    target, written = TfjsTarget(), set[Graph]()

    def open_graph(graph: Graph, backend: Backend) -> BundleSession:
        folder = tmp_path / graph.name.replace("/", "_")
        if graph not in written:
            written.add(graph)
            target.write(prepare(graph, target), folder, {})
        return open_model(processes[backend], folder)

    return open_graph
