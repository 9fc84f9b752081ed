"""The bundle in headless Chromium: a page under the strict policy, workers, and a page opened from a file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from faulty_site import FaultySite
from playwright.sync_api import Page

from triport.exporter import ops
from triport.exporter.graph import Array, DType, Graph, Sample, Sym, TensorType
from triport.exporter.ops import Activation, Layout
from triport.exporter.reference.run import run_graph

Write = Callable[[Graph], Path]
ServeFaulty = Callable[..., FaultySite]
DOCS = Path(__file__).resolve().parents[3] / "docs"


def small_cnn() -> Graph:
    """conv - pool - linear - softmax with a golden sample."""
    rng = np.random.default_rng(3)

    def weights(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(np.float32)

    graph = Graph("small cnn")
    image = graph.add_input("image", TensorType(DType.FLOAT32, (Sym.named("batch"), 8, 8, 1)))
    kernel, bias = graph.add_constant(weights(4, 3, 3, 1)), graph.add_constant(weights(4))
    conv = ops.Conv((1, 1), ((1, 1), (1, 1)), (1, 1), 1, Layout.CHANNELS_LAST, Activation.RELU)
    pool = ops.MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), Layout.CHANNELS_LAST)
    x = graph.add(pool, graph.add(conv, image, kernel, bias))
    x = graph.add(ops.Reshape((Sym.named("batch"), 64)), x)
    x = graph.add(ops.Linear(), x, graph.add_constant(weights(3, 64)))
    graph.set_output("scores", graph.add(ops.Softmax(-1), x))
    inputs = {"image": weights(2, 8, 8, 1)}
    graph.samples = [Sample(inputs, run_graph(graph, inputs))]
    return graph


def scores_of(graph: Graph, image: Array) -> npt.NDArray[np.float32]:
    return np.asarray(run_graph(graph, {"image": image})["scores"], np.float32)


RUN = """
async (load) => {
  const model = await load();
  const { scores } = await model.run({ image: Float32Array.from({ length: 3 * 64 }, (_, i) => Math.sin(i)) });
  return { shape: scores.shape, data: Array.from(scores.data) };
}
"""


def assert_sine_scores(result: dict[str, Any]) -> None:
    image = np.sin(np.arange(3 * 64)).astype(np.float32).reshape(3, 8, 8, 1)
    assert result["shape"] == [3, 3]
    np.testing.assert_allclose(np.reshape(result["data"], (3, 3)), scores_of(small_cnn(), image), atol=1e-5)


def test_demo_page_passes_its_self_test_under_the_strict_policy(
    page: Page, bundle: Write, serve: Callable[[Path], str]
) -> None:
    page.goto(serve(bundle(small_cnn())) + "/index.html")
    page.wait_for_selector("#state.pass, #state.fail")
    assert page.inner_text("#state") == "Passed: 1 of 1 samples answer as the original model did."
    page.click("#again")
    page.wait_for_selector("#again:enabled")
    assert page.locator("#samples tr").count() == 1


def test_files_that_the_head_names_are_fetched_once_before_the_module_asks_for_them(
    page: Page, bundle: Write, serve_faulty: ServeFaulty
) -> None:
    folder = bundle(small_cnn())
    links = re.findall(r"<link rel=.*load.*>", (DOCS / "web-bundle.md").read_text("utf-8"))
    head = "\n".join(links).replace("web/", "")
    (folder / "page.html").write_text(f'<!doctype html>{head}<link rel="icon" href="icon.svg">')
    site = serve_faulty(folder, {"Cache-Control": "no-store"})
    page.goto(f"{site.url}/page.html", wait_until="networkidle")  # not what "load" waits for
    named = sorted(name for name in site.asked if name != "icon.svg")
    assert named == ["index.js", "page.html", "weights.bin"]
    assert_sine_scores(page.evaluate(f'async () => ({RUN})((await import("./index.js")).load)'))
    assert sorted(name for name in site.asked if name != "icon.svg") == named


def test_demo_page_fetches_each_file_once(page: Page, bundle: Write, serve_faulty: ServeFaulty) -> None:
    site = serve_faulty(bundle(small_cnn()), {"Cache-Control": "no-store"})
    page.goto(f"{site.url}/index.html")
    page.wait_for_selector("#state.pass")
    assert sorted(site.asked) == sorted(set(site.asked)) and {"index.js", "weights.bin"} < set(site.asked)
    assert "plan.json" not in site.asked


def test_demo_page_says_which_sample_differs(page: Page, bundle: Write, serve: Callable[[Path], str]) -> None:
    graph = small_cnn()
    inputs = graph.samples[0].inputs
    graph.samples = [Sample(inputs, {"scores": scores_of(graph, inputs["image"]) + np.float32(1e-3)})]
    page.goto(serve(bundle(graph)) + "/index.html")
    page.wait_for_selector("#state.pass, #state.fail")
    assert page.inner_text("#state") == "Failed: 1 of 1 samples differ."


def test_demo_page_works_when_opened_as_a_file(page: Page, bundle: Write) -> None:
    page.goto((bundle(small_cnn()) / "index.html").as_uri())
    page.wait_for_selector("#state.pass, #state.fail")
    assert page.inner_text("#state").startswith("Passed")


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("module", 'import { load } from "./index.js";'),
        ("classic", 'importScripts("bundle.iife.js"); const { load } = triport["small cnn"];'),
        ("classic", 'importScripts("index.iife.js"); const { load } = triport["small cnn"];'),
    ],
)
def test_bundle_runs_in_a_worker(
    kind: str, source: str, page: Page, bundle: Write, serve: Callable[[Path], str]
) -> None:
    folder = bundle(small_cnn())
    (folder / "worker.js").write_text(
        f"{source}\n({RUN})(load).then(postMessage, (error) => postMessage(String(error)));"
    )
    (folder / "page.html").write_text('<!doctype html><link rel="icon" href="icon.svg">')
    page.goto(serve(folder) + "/page.html")
    result = page.evaluate(
        f"""() => new Promise((resolve) => {{
          const worker = new Worker("worker.js", {{ type: {json.dumps(kind)} }});
          worker.onmessage = (event) => resolve(event.data);
        }})"""
    )
    assert_sine_scores(result)


def test_a_page_fetches_one_script_of_less_than_60_kb_beside_the_weights(
    page: Page, bundle: Write, serve: Callable[[Path], str]
) -> None:
    folder = bundle(small_cnn())
    (folder / "page.html").write_text(
        '<!doctype html><link rel="icon" href="icon.svg"><script type="module" src="page.js"></script>'
    )
    (folder / "page.js").write_text(
        'import { load } from "./index.js"; load().then(() => (document.body.id = "loaded"));'
    )
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url.rsplit("/", 1)[1]))
    page.goto(serve(folder) + "/page.html")
    page.wait_for_selector("#loaded", state="attached")
    loaded = [name for name in fetched if name not in ("page.html", "page.js", "icon.svg")]
    assert sorted(loaded) == ["index.js", "weights.bin"]
    weights = (folder / "weights.bin").stat().st_size
    assert sum((folder / name).stat().st_size for name in loaded) < weights + 60_000
