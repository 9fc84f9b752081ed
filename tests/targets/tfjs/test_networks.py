"""Whole networks as graph models: in Node on both backends, and in a page by tf.loadGraphModel."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import sync_playwright
from test_op_cases import BATCHES
from torch import Tensor, nn
from torch_networks import NETWORKS, SMALL, statistics_like_trained

import triport as tp
from triport.exporter.graph import Graph
from triport.exporter.reference import run_graph
from triport.runtime_checks.parity import check_port
from triport.runtime_checks.runners.chromium import FLAGS, NAMES
from triport.runtime_checks.runners.tfjs import Backend
from triport.runtime_checks.truth import make_truth
from triport.targets.prepare import prepare
from triport.targets.tfjs import TfjsTarget

from .conftest import Open


def _image(size: int) -> Callable[[], Tensor]:
    return lambda: torch.randn(1, 3, size, size)


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(40, 16), nn.ReLU(), nn.Linear(16, 4), nn.Softmax(1))


MADE: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "MLP": (_mlp, lambda: torch.randn(1, 40)),
    "MobileNetV2": (SMALL["MobileNetV2"], _image(64)),
    "ResNet-18": (SMALL["ResNet-18"], _image(64)),
    "U-Net": (SMALL["U-Net"], _image(32)),
    "encoder": (SMALL["encoder, 4 layers"], lambda: torch.randint(0, 50, (1, 12))),
    "LSTM": (NETWORKS["LSTM"].build, NETWORKS["LSTM"].example),
    "GRU": (NETWORKS["GRU"].build, NETWORKS["GRU"].example),
    "Swin": (NETWORKS["Swin"].build, NETWORKS["Swin"].example),
}


def _captured(name: str) -> Graph:
    build, example = MADE[name]
    torch.manual_seed(0)
    return tp.capture(statistics_like_trained(build()), example(), name=name)


@pytest.mark.parametrize("name", MADE)
def test_network_answers_as_its_module(name: str, open_graph: Open) -> None:
    graph = _captured(name)
    truth = make_truth(graph, [])
    assert truth is not None and len(truth.cases) >= len(BATCHES)
    failed = []
    for backend in Backend:
        session = open_graph(graph, backend)
        failed += [f"{backend.value}, {c.case}: {c.problem}" for c in check_port(session, truth) if not c.passed]
    assert not failed


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""


@pytest.fixture
def served(packages: Path, tmp_path: Path) -> Iterator[str]:
    """Address of a folder with the packages as ``npm``."""
    (tmp_path / "npm").symlink_to(packages / "node_modules" / "@tensorflow")
    (tmp_path / "page.html").write_text("<!doctype html>")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


RUN = """async ([backend, model, name, cells, shape]) => {
    await tf.setBackend(backend);
    const loaded = await tf.loadGraphModel(`${model}/model.json`);
    const output = loaded.execute({ [name]: tf.tensor(cells, shape) });
    return { cells: Array.from(await output.data()), shape: output.shape };
}"""


def test_a_page_loads_it_with_load_graph_model(served: str, tmp_path: Path) -> None:
    graph, target = _captured("MobileNetV2"), TfjsTarget()
    target.write(prepare(graph, target), tmp_path / "model", {})
    name = graph.inputs[0].name
    x = np.random.default_rng(0).normal(0, 1, (2, 3, 64, 64)).astype(np.float32)
    (answer,) = run_graph(graph, {name: x}).values()
    want = answer.astype(np.float64)
    executable = os.environ.get("CHROME") or next(filter(None, map(shutil.which, NAMES)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.goto(f"{served}/page.html")
        for part in ("core", "converter", "backend-cpu", "backend-wasm"):
            page.add_script_tag(url=f"{served}/npm/tfjs-{part}/dist/tf-{part}.min.js")
        page.evaluate(
            "folder => { tf.wasm.setWasmPaths(folder); tf.wasm.setThreadsCount(1); }",
            f"{served}/npm/tfjs-backend-wasm/dist/",
        )
        for backend in Backend:
            got = page.evaluate(RUN, [backend.value, f"{served}/model", name, x.ravel().tolist(), list(x.shape)])
            assert got["shape"] == list(want.shape)
            np.testing.assert_allclose(np.reshape(got["cells"], want.shape), want, atol=1e-5 * np.ptp(want))
        browser.close()
