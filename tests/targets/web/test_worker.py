"""loadInWorker(): the model in a Worker of Chromium, of either kind, and in a thread of Node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faulty_site import Fault, FaultySite, faulty_site
from playwright.sync_api import Browser, Page
from web_in_node import node

from triport.exporter import ops
from triport.exporter.graph import DType, Graph, Sample, Sym, TensorType
from triport.exporter.reference.run import run_graph

Write = Callable[[Graph], Path]
Evaluate = Callable[[str], Any]

PREAMBLE = """
const text = (error) => `${error.name}: ${error.message}`;
const failed = (promise) => promise.then(() => "no error", text);
const feed = (...numbers) => ({ x: Float32Array.from(numbers) });
"""


def tripled() -> Graph:
    graph = Graph("tripled")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (Sym.named("batch"), 2)))
    weight = graph.add_constant(np.array([[3, 0], [0, 3]], np.float32))
    graph.set_output("y", graph.add(ops.Linear(), x, weight))
    inputs = {"x": np.ones((2, 2), np.float32)}
    graph.samples = [Sample(inputs, run_graph(graph, inputs))]
    return graph


@pytest.fixture
def site(bundle: Write) -> Iterator[FaultySite]:
    with faulty_site(bundle(tripled()), {"Cache-Control": "no-store"}) as site:
        yield site


@pytest.fixture
def page(browser: Browser, site: FaultySite) -> Iterator[Page]:
    """A page of the site under the strict policy, where no rejection goes unhandled."""
    page = browser.new_page()
    rejected: list[str] = []
    page.on("pageerror", lambda error: rejected.append(str(error)))
    page.goto(site.url + "/icon.svg")
    yield page
    page.close()
    assert rejected == []


@pytest.fixture(params=["module", "classic", "node"])
def evaluate(request: pytest.FixtureRequest) -> Evaluate:
    """What a script returns that has `loadInWorker`, in each kind of worker."""
    kind = request.param
    if kind == "node":
        folder = request.getfixturevalue("site").folder

        def in_node(body: str) -> Any:
            return node(f"""
              import {{ loadInWorker }} from "{(folder / "worker.js").as_uri()}";
              const options = {{}};
              {PREAMBLE}
              console.log(JSON.stringify(await (async () => {{ {body} }})()));
            """)

        return in_node
    page = request.getfixturevalue("page")

    def in_page(body: str) -> Any:
        return page.evaluate(f"""async () => {{
          const {{ loadInWorker }} = await import("./worker.js");
          const options = {{ type: "{kind}" }};
          {PREAMBLE} {body}
        }}""")

    return in_page


def test_it_answers_as_the_model_does(evaluate: Evaluate) -> None:
    got = evaluate("""
      const steps = [];
      const model = await loadInWorker({ ...options, onProgress: (step) => steps.push(step) });
      const { y } = await model.run(feed(1, 2, 3, 4));
      const part = new Float32Array([9, 9, 5, 6]).subarray(2);
      const other = await model.run({ x: { data: part, shape: [1, 2] } });
      const facts = [model.meta.name, y.shape, [...y.data], y.data.constructor.name, [...other.y.data], part.length];
      const passed = (await model.selfTest()).passed;
      const { memory, threads } = model;
      model.dispose();
      return [facts, passed, memory > 0, threads, model.memory, steps.at(-1)];
    """)
    facts = ["tripled", [2, 2], [3, 6, 9, 12], "Float32Array", [15, 18], 2]
    step = got[-1]
    assert got[:-1] == [facts, True, True, 1, 0] and step["loaded"] == step["total"] > 0


def test_errors_come_back_with_their_type_and_words(evaluate: Evaluate) -> None:
    got = evaluate("""
      const model = await loadInWorker(options);
      const told = (error) => [error instanceof TypeError, text(error)];
      const wrong = await model.run({ x: new Float32Array(3) }).catch(told);
      const nan = await model.run(feed(1, NaN), { checkNaN: true }).catch(told);
      const { y } = await model.run(feed(1, 1));
      model.dispose();
      return [wrong, nan, [...y.data]];
    """)
    assert got == [
        [True, 'TypeError: input "x": expected Float32Array(2) for [1,2], or a multiple of it, got Float32Array(3)'],
        [True, 'TypeError: input "x": expected numbers, got NaN at index 1'],
        [3, 3],
    ]


def test_buffers_move_when_asked_to_and_stay_with_a_call_that_is_refused(evaluate: Evaluate) -> None:
    got = evaluate("""
      const model = await loadInWorker(options);
      const copied = feed(1, 2), moved = feed(3, 4), refused = feed(1, 2, 3), unknown = feed(1, NaN);
      await model.run(copied);
      const { y } = await model.run(moved, { transfer: true });
      const said = await failed(model.run(refused, { transfer: true }));
      const nan = await failed(model.run(unknown, { transfer: true, checkNaN: true }));
      model.dispose();
      const kept = [refused.x.length, said.slice(0, 9), unknown.x.length, nan.slice(0, 9)];
      return [copied.x.length, moved.x.length, [...y.data], ...kept];
    """)
    assert got == [2, 0, [9, 12], 3, "TypeError", 2, "TypeError"]


@pytest.mark.parametrize("transfer", ["false", "true"])
def test_shared_memory_is_copied_and_stays(transfer: str, evaluate: Evaluate) -> None:
    got = evaluate(
        """
      const model = await loadInWorker(options);
      // Pages have no name for it unless they are isolated.
      const { buffer } = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
      const x = new Float32Array(buffer, 0, 16384).fill(1);
      const running = model.run({ x }, { transfer: @transfer });
      x.fill(2);
      const { y } = await running;
      model.dispose();
      return [new Set(y.data).size, y.data[0], x[0]];
    """.replace("@transfer", transfer)
    )
    assert got == [1, 3, 2]


def test_runs_keep_their_order_and_a_waiting_one_can_be_aborted(evaluate: Evaluate) -> None:
    got = evaluate("""
      const model = await loadInWorker(options);
      const stop = new AbortController(), early = AbortSignal.abort(new Error("early"));
      const order = [];
      const runs = [1, 2, 3, 4].map((n) =>
        model.run(feed(n, n), n === 3 ? { signal: stop.signal } : {}).then(
          ({ y }) => order.push(y.data[0]),
          (error) => order.push(error.message),
        ));
      stop.abort(new Error("no more"));
      await Promise.all(runs);
      const said = await failed(model.run(feed(1, 1), { signal: early }));
      model.dispose();
      return [order, said];
    """)
    assert got == [["no more", 3, 6, 12], "Error: early"]


def test_dispose_rejects_what_is_under_way_and_what_comes(evaluate: Evaluate) -> None:
    got = evaluate("""
      const model = await loadInWorker(options);
      const runs = [failed(model.run(feed(1, 1))), failed(model.run(feed(2, 2))), failed(model.selfTest())];
      model.dispose();
      model.run(feed(1, 1)).catch(() => {});
      return [...(await Promise.all(runs)), await failed(model.run(feed(3, 3)))];
    """)
    assert got == ["Error: run() after dispose(): loadInWorker() gives another model"] * 4


def test_an_aborted_load_ends_the_worker(evaluate: Evaluate) -> None:
    got = evaluate("""
      const stop = new AbortController();
      const loading = failed(loadInWorker({ ...options, signal: stop.signal }));
      stop.abort(new Error("enough"));
      const later = new AbortController();
      const onProgress = () => later.abort(new Error("late"));
      const watched = { ...options, signal: later.signal, onProgress };
      const own = { ...options, onProgress() { throw new RangeError("mine"); } };
      return [await loading, await failed(loadInWorker(watched)), await failed(loadInWorker(own))];
    """)
    assert got == ["Error: enough", "Error: late", "RangeError: mine"]


def test_a_file_that_cannot_be_used_is_named_as_load_does(page: Page, site: FaultySite) -> None:
    site.faults["weights.bin"] = [Fault.CHANGED] * 2
    got = page.evaluate("""async () => {
      const { loadInWorker } = await import("./worker.js");
      const said = await loadInWorker({ baseUrl: "." }).catch(({ name, file, message }) => [name, file, message]);
      return [...said, (await loadInWorker("./")).meta.name];
    }""")
    assert (got[:2], got[3]) == (["LoadError", "weights.bin"], "tripled") and "another SHA-256" in got[2]


def test_a_worker_that_cannot_start_is_an_error(page: Page, site: FaultySite) -> None:
    for name in ("worker-module.js", "worker-classic.js"):
        site.faults[name] = [Fault.MISSING] * 2
    kinds = '[undefined, "module", "classic"]'
    got = page.evaluate(f"""async () => {{
      const {{ loadInWorker }} = await import("./worker.js");
      const said = [];
      for (const type of {kinds}) said.push(await loadInWorker({{ type }}).catch((error) => error.message));
      return said;
    }}""")
    assert len(got) == 3 and all(said.startswith("the worker ended: its script could not be loaded") for said in got)


def test_what_a_workers_script_throws_is_said_by_the_rejection_alone(page: Page, site: FaultySite) -> None:
    (site.folder / "worker-classic.js").write_text('throw new Error("broken");')
    said = page.evaluate("""async () => {
      const { loadInWorker } = await import("./worker.js");
      return loadInWorker({ type: "classic" }).catch((error) => error.message);
    }""")
    assert said == "the worker ended: Uncaught Error: broken"


def test_a_browser_without_module_workers_gets_the_classic_script(page: Page, site: FaultySite) -> None:
    site.faults["worker-module.js"] = [Fault.MISSING]
    got = page.evaluate("""async () => {
      const { loadInWorker } = await import("./worker.js");
      return (await (await loadInWorker()).selfTest()).passed;
    }""")
    assert got is True and "worker-classic.js" in site.asked
