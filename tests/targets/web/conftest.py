"""Running graphs as browser bundles in Node and in headless Chromium."""

from __future__ import annotations

import http.server
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from faulty_site import POLICY, FaultySite, faulty_site
from playwright.sync_api import Browser, Page, sync_playwright

from triport.exporter.graph import Array, DType, Graph
from triport.exporter.reference.run import run_graph
from triport.runtime_checks.runners.chromium import FLAGS, NAMES
from triport.runtime_checks.runners.node import Node
from triport.runtime_checks.tolerance import CLOSE
from triport.targets.prepare import prepare
from triport.targets.web import WebTarget
from triport.targets.web.dtypes import device_dtype

Write = Callable[[Graph], Path]
Close = Callable[[Graph, Mapping[str, Array], Mapping[str, Array]], None]
Check = Callable[[Graph, Sequence[Mapping[str, Array]]], None]


@pytest.fixture
def bundle(tmp_path: Path) -> Write:
    """Writes a graph's bundle and returns its folder."""

    def write(graph: Graph) -> Path:
        target = WebTarget()
        folder = tmp_path / "web"
        target.write(prepare(graph, target), folder, {})
        return folder

    return write


@pytest.fixture
def close() -> Close:
    """Compares outputs with the float64 reference: shape, dtype, then values within CLOSE."""
    return assert_close


@pytest.fixture
def check_in_node(bundle: Write) -> Check:
    """Compares a graph's bundle in Node with the float64 reference: shape, dtype, then values within CLOSE."""

    def check(graph: Graph, calls: Sequence[Mapping[str, Array]]) -> None:
        with Node().load(bundle(graph)) as session:
            for inputs in calls:
                assert_close(graph, inputs, session.run({name: in_browser(array) for name, array in inputs.items()}))

    return check


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = os.environ.get("CHROME") or next(filter(None, map(shutil.which, NAMES)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, serve: object, serve_faulty: object) -> Iterator[Page]:
    """A page that is closed before its server is, or what it still asks for would be refused; without complaints."""
    page = browser.new_page()
    page.set_default_timeout(120_000)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    yield page
    page.close()
    assert problems == []


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Serves a folder on 127.0.0.1 under the strict policy and further headers; the function returns the address."""
    servers: list[http.server.ThreadingHTTPServer] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        headers_sent: Mapping[str, str] = {}

        def end_headers(self) -> None:
            for name, value in {"Content-Security-Policy": POLICY, **self.headers_sent}.items():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, *_: object) -> None:
            """No talk on stderr."""

    def start(folder: Path, headers: Mapping[str, str] = {}) -> str:
        handler = type("WithHeaders", (Handler,), {"headers_sent": headers})
        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), lambda *arguments: handler(*arguments, directory=str(folder))
        )
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def serve_faulty() -> Iterator[Callable[..., FaultySite]]:
    """Serves a folder with further headers as a site whose answers can be made wrong."""
    with ExitStack() as sites:
        yield lambda folder, headers=None: sites.enter_context(faulty_site(folder, headers))


def in_browser(array: Array) -> Array:
    """The array as the bundle takes it: int64 is int32 there."""
    return array.astype(device_dtype(DType.of(array)).numpy)


def assert_close(graph: Graph, inputs: Mapping[str, Array], got: Mapping[str, Array]) -> None:
    exact = run_graph(graph, inputs, dtype=DType.FLOAT64)
    single = run_graph(graph, inputs)
    assert list(got) == list(exact)
    for name, expected in exact.items():
        assert got[name].shape == expected.shape
        if expected.dtype != np.float64:
            np.testing.assert_array_equal(got[name], expected)
            continue
        assert got[name].dtype == np.float32
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(np.isfinite(got[name]), finite)
        if finite.any():
            assert_within_bound(got[name][finite], single[name][finite], expected[finite])


def assert_within_bound(got: Array, single: Array, exact: Array) -> None:
    truth = np.asarray(exact, np.float64)
    torch_error = np.abs(np.asarray(single, np.float64) - truth).max()
    bound = CLOSE.bound(float(np.ptp(truth)), float(torch_error), float(np.abs(truth).max()))
    assert np.abs(np.asarray(got, np.float64) - truth).max() <= bound
