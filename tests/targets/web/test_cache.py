"""load({cache}) in Chromium: what the Cache API holds of a bundle, and when it is downloaded again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faulty_site import Fault, FaultySite, faulty_site
from playwright.sync_api import Browser, Page

from triport.exporter import ops
from triport.exporter.graph import DType, Graph, Sample, Sym, TensorType
from triport.exporter.reference.run import run_graph

Write = Callable[[Graph], Path]

SCRIPT = """
async (options) => {
  const { load } = await import("./index.js");
  const outcome = await load(options).then(
    async (model) => (await model.selfTest()).passed,
    (error) => `${error.name}: ${error.message}`,
  );
  const cache = await caches.open("triport");
  const names = async () => (await cache.keys()).map(({ url }) => new URL(url).pathname.slice(1)).sort();
  // Files are held after load() has answered.
  for (let i = 0; i < 100 && outcome === true && (await names()).length < 3; i++)
    await new Promise((done) => setTimeout(done, 20));
  return [outcome, await names()];
}
"""
HELD = ["golden.bin", "kernels.wasm", "weights.bin"]
POISON = """
async () => {
  const cache = await caches.open("triport");
  const key = (await cache.keys()).find(({ url }) => url.includes("weights.bin"));
  const bytes = new Uint8Array(await (await cache.match(key)).arrayBuffer());
  bytes[9] ^= 1;
  await cache.put(key, new Response(bytes));
}
"""


def layer(seed: int = 0) -> Graph:
    rng = np.random.default_rng(seed)
    graph = Graph("layer")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (Sym.named("batch"), 40)))
    graph.set_output("y", graph.add(ops.Linear(), x, graph.add_constant(rng.standard_normal((24, 40)).astype("f4"))))
    inputs = {"x": rng.standard_normal((2, 40)).astype(np.float32)}
    graph.samples = [Sample(inputs, run_graph(graph, inputs))]
    return graph


@pytest.fixture
def site(bundle: Write) -> Iterator[FaultySite]:
    with faulty_site(bundle(layer()), {"Cache-Control": "no-store"}) as site:
        yield site


@pytest.fixture
def page(browser: Browser, site: FaultySite) -> Iterator[Page]:
    """A page of the site in a profile of its own, where no rejection goes unhandled."""
    context = browser.new_context()
    page = context.new_page()
    rejected: list[str] = []
    page.on("pageerror", lambda error: rejected.append(str(error)))
    page.goto(site.url + "/icon.svg")
    yield page
    context.close()
    assert rejected == []


def load(page: Page, site: FaultySite, **options: Any) -> tuple[Any, list[str], list[str]]:
    """The outcome of a load and the self-test, the names that the cache holds, and what was asked of the server."""
    site.asked.clear()
    outcome, held = page.evaluate(SCRIPT, {"cache": True, "relaxed": False, **options})
    return outcome, held, sorted(name for name in site.asked if name.endswith((".bin", ".wasm", ".json")))


def test_what_is_held_is_not_downloaded_again(page: Page, site: FaultySite) -> None:
    assert load(page, site) == (True, HELD, HELD)
    assert load(page, site) == (True, HELD, [])
    page.reload()
    assert load(page, site) == (True, HELD, [])


def test_a_bad_entry_is_replaced_by_one_download(page: Page, site: FaultySite) -> None:
    load(page, site)
    page.evaluate(POISON)
    assert load(page, site) == (True, HELD, ["weights.bin"])
    assert load(page, site) == (True, HELD, [])


def test_a_bad_entry_is_deleted_where_the_download_fails(page: Page, site: FaultySite) -> None:
    load(page, site)
    page.evaluate(POISON)
    site.faults["weights.bin"] = [Fault.MISSING]
    outcome, held, _ = load(page, site)
    assert outcome.startswith("LoadError: weights.bin: 404") and held == HELD[:2]


def test_another_exports_files_replace_those_that_are_held(page: Page, site: FaultySite, bundle: Write) -> None:
    load(page, site)
    shutil.rmtree(site.folder)
    bundle(layer(seed=1))
    page.reload()
    assert load(page, site)[::2] == (True, ["golden.bin", "weights.bin"])
    assert load(page, site) == (True, HELD, [])


def test_a_page_whose_script_the_browser_kept_works_when_it_is_loaded_again(
    page: Page, site: FaultySite, bundle: Write
) -> None:
    site.kept.add("index.js")
    assert load(page, site, cache=False)[0] is True
    shutil.rmtree(site.folder)
    bundle(layer(seed=1))
    page.reload()
    assert "or reload the page" in load(page, site, cache=False)[0]
    page.reload()
    assert load(page, site, cache=False)[0] is True


@pytest.mark.parametrize("fault", [Fault.SHORT, Fault.CHANGED, Fault.BROKEN_OFF, Fault.MISSING])
def test_a_download_that_fails_leaves_nothing_in_the_cache(fault: Fault, page: Page, site: FaultySite) -> None:
    site.faults["weights.bin"] = [fault] * 2
    outcome, held, _ = load(page, site)
    assert outcome.startswith("LoadError: weights.bin: ")
    assert "weights.bin" not in held
    site.faults.clear()
    assert load(page, site)[:2] == (True, HELD)


def test_an_aborted_download_leaves_nothing_in_the_cache(page: Page, site: FaultySite) -> None:
    site.faults["weights.bin"] = [Fault.STALLS]
    said = page.evaluate("""
      async () => {
        const { load } = await import("./index.js");
        const stop = new AbortController();
        const onProgress = () => stop.abort(new Error("enough"));
        return load({ cache: true, signal: stop.signal, onProgress }).catch((error) => error.message);
      }
    """)
    assert said == "enough"
    outcome, held, asked = load(page, site)
    assert (outcome, held) == (True, HELD) and "weights.bin" in asked


def test_a_cache_has_the_name_it_is_given(page: Page, site: FaultySite) -> None:
    names = page.evaluate("""
      async () => {
        const { load } = await import("./index.js");
        await load({ cache: "mine" });
        await load();
        return caches.keys();
      }
    """)
    assert names == ["mine"]


def test_entries_of_the_page_in_the_same_cache_stay(page: Page, site: FaultySite) -> None:
    kept = page.evaluate("""
      async () => {
        const { load } = await import("./index.js");
        const cache = await caches.open("mine");
        for (const url of ["weights.bin", "weights.bin?v=1"]) await cache.put(url, new Response("the page's own"));
        const count = async () => (await cache.keys()).length;
        await load({ cache: "mine", relaxed: false });
        for (let i = 0; i < 100 && (await count()) < 4; i++) await new Promise((done) => setTimeout(done, 20));
        return (await cache.keys()).map(({ url }) => new URL(url)).map(({ pathname, searchParams }) =>
          [pathname.slice(1), [...searchParams.keys()].join()].join(" "));
      }
    """)
    assert sorted(kept) == ["kernels.wasm sha256", "weights.bin ", "weights.bin sha256", "weights.bin v"]


def test_a_page_that_may_not_hold_files_loads_without(page: Page, site: FaultySite) -> None:
    page.evaluate(
        """() => { CacheStorage.prototype.open = () => Promise.reject(new DOMException("no", "SecurityError")); }"""
    )
    said = page.evaluate("""
      async () => {
        const { load } = await import("./index.js");
        return (await (await load({ cache: true })).selfTest()).passed;
      }
    """)
    assert said is True


@pytest.mark.parametrize(("file", "options"), [("cache.js", "cache: true"), ("threads.js", "threads: 2")])
def test_a_script_that_stalls_is_aborted_with_the_signals_reason(
    file: str, options: str, page: Page, site: FaultySite
) -> None:
    site.faults[file] = [Fault.STALLS]
    said = page.evaluate(f"""
      async () => {{
        const {{ load }} = await import("./index.js");
        const stop = new AbortController();
        const loading = load({{ {options}, signal: stop.signal }}).then(() => "loaded", ({{ message }}) => message);
        while (!(await (await fetch("/asked")).json()).includes("{file}"));
        stop.abort(new Error("mine"));
        return loading;
      }}
    """)
    assert said == "mine"


def test_a_file_of_another_export_in_the_browsers_own_cache_is_passed_over(browser: Browser, bundle: Write) -> None:
    with faulty_site(bundle(layer()), {"Cache-Control": "max-age=3600"}) as site:
        site.faults["weights.bin"] = [Fault.CHANGED]
        page = browser.new_page()
        page.goto(site.url + "/icon.svg")
        passed = page.evaluate("""
          async () => {
            const { load } = await import("./index.js");
            return (await (await load()).selfTest()).passed;
          }
        """)
        page.close()
    assert passed is True


def test_addresses_outside_of_secure_contexts_are_compared_by_length(page: Page, site: FaultySite) -> None:
    page.evaluate("() => { Object.defineProperty(crypto, 'subtle', { value: undefined }); }")
    assert load(page, site)[0] is True
    site.faults["weights.bin"] = [Fault.SHORT] * 2
    page.evaluate("() => caches.delete('triport')")
    assert "expected 3936 bytes, got 1968" in load(page, site)[0]
