"""run(): one at a time, aborted, with NaN, without memory, on engines that lack what it needs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from faulty_site import faulty_site
from playwright.sync_api import Browser, Page
from web_in_node import RUNTIME, in_bundle, node

from triport.exporter import ops
from triport.exporter.graph import DType, Graph, Sym, TensorType

N = Sym.named("n")
Write = Callable[[Graph], Path]


def doubled(dtype: DType = DType.FLOAT32) -> Graph:
    graph = Graph("doubled")
    x = graph.add_input("x", TensorType(dtype, (N, 2)))
    graph.set_output("y", graph.add(ops.Add(), x, x))
    return graph


def products() -> Graph:
    """All products of n numbers: a short input, a large output."""
    graph = Graph("products")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (N,)))
    column = graph.add(ops.Reshape((N, 1)), x)
    graph.set_output("y", graph.add(ops.Mul(), column, graph.add(ops.Reshape((1, N)), x)))
    return graph


def test_jobs_wait_for_those_before_and_an_aborted_one_never_starts() -> None:
    got = node(f"""
      import {{ makeQueue }} from "{(RUNTIME / "queue.js").as_uri()}";
      const enter = makeQueue(), log = [], stop = new AbortController();
      const slow = (name) => async () => {{
        log.push(`${{name}} starts`);
        await new Promise((done) => setTimeout(done, 5));
        log.push(`${{name}} ends`);
      }};
      const failing = async () => {{ await slow("b")(); throw new Error("b failed"); }};
      const ran = [enter(slow("a")), enter(failing), enter(slow("c"), stop.signal), enter(slow("d"))];
      stop.abort(new Error("c is aborted"));
      const told = (await Promise.allSettled(ran)).map(({{ status, reason }}) => reason?.message ?? status);
      let atOnce = false;
      const idle = enter(() => {{ atOnce = true; }});
      log.push(atOnce);
      await idle;
      console.log(JSON.stringify([told, log]));
    """)
    told = ["fulfilled", "b failed", "c is aborted", "fulfilled"]
    assert got == [told, ["a starts", "a ends", "b starts", "b ends", "d starts", "d ends", True]]


def test_an_aborted_run_rejects_with_the_signals_reason_and_the_next_one_runs(bundle: Write) -> None:
    got = in_bundle(
        bundle(doubled()),
        """
        const run = (signal) => model.run({ x: Float32Array.of(1, 2) }, { signal }).then(({ y }) => [...y.data], text);
        return [await run(AbortSignal.abort()), await run(AbortSignal.abort(new Error("mine"))), await run()];
        """,
    )
    assert got == ["AbortError: This operation was aborted", "Error: mine", [2, 4]]


def test_nan_is_refused_when_asked_to(bundle: Write) -> None:
    folder = bundle(doubled())
    got = in_bundle(
        folder,
        """
        const feed = () => ({ x: Float32Array.of(1, 2, 3, NaN) });
        const strict = await load({ checkNaN: true });
        const told = (promise) => promise.then(({ y }) => String(y.data), text);
        const sync = () => { try { return strict.runSync(feed()); } catch (error) { return text(error); } };
        return [await told(model.run(feed())), await told(model.run(feed(), { checkNaN: true })),
          await told(strict.run(feed())), await told(strict.run(feed(), { checkNaN: false })), sync(),
          await told(strict.run({ x: Float32Array.of(1, Infinity) }))];
        """,
    )
    refused = 'TypeError: input "x": expected numbers, got NaN at index 3'
    assert got == ["2,4,6,NaN", refused, refused, "2,4,6,NaN", refused, "2,Infinity"]


def test_integers_hold_no_nan(bundle: Write) -> None:
    body = "return [...(await model.run({ x: Int32Array.of(1, 2) }, { checkNaN: true })).y.data];"
    assert in_bundle(bundle(doubled(DType.INT32)), body) == [2, 4]


def test_sizes_beyond_memory_say_how_much_they_need_and_smaller_ones_still_run(bundle: Write) -> None:
    got = in_bundle(
        bundle(products()),
        """
        const run = (n) => model.run({ x: new Float32Array(n).fill(2) }).then(({ y }) => [y.shape, y.data[0]], text);
        return [await run(3), await run(40000), await run(200000), await run(3), await run(40000), await run(4)];
        """,
    )
    needs = "RangeError: out of memory: the model needs {} MiB for these sizes"
    large, larger = needs.format(6104), needs.format(152589)
    assert got == [[[3, 3], 4], large, larger, [[3, 3], 4], large, [[4, 4], 4]]


@pytest.mark.parametrize("flag", ["--jitless", "--no-enable-sse4-1"])
def test_an_engine_without_what_it_needs_is_told_so(flag: str, bundle: Write) -> None:
    index = (bundle(doubled()) / "index.js").as_uri()
    script = f'import {{ load }} from "{index}"; await load().catch((error) => console.log(error.message));'
    command = ["node", flag, "--input-type=module", "--eval", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    versions = "Chrome 91, Firefox 90, Safari 16.4, Node 18 have it"
    assert done.stdout.strip().removeprefix("kernels.wasm: damaged, or ") == (
        f"this engine has no WebAssembly SIMD: {versions}"
    )


def test_damaged_kernels_are_named_where_no_sum_can_be_taken(bundle: Write) -> None:
    folder = bundle(doubled())
    (folder / "kernels.wasm").write_text("<!doctype html>")
    assert node(f"""
      Object.defineProperty(globalThis, "crypto", {{ value: undefined }});
      const {{ load }} = await import("{(folder / "index.js").as_uri()}");
      const {{ name, file, message }} = await load({{ relaxed: false }}).catch((error) => error);
      console.log(JSON.stringify([name, file, message.split(",")[0]]));
    """) == ["LoadError", "kernels.wasm", "kernels.wasm: damaged"]


IMPORTED = """async () => {
  const { load } = await import("./index.js");
  return load().then(() => "loaded", ({ name, message }) => `${name}: ${message}`);
}"""


def test_a_policy_that_forbids_webassembly_is_quoted(browser: Browser, bundle: Write) -> None:
    policy = {"Content-Security-Policy": "default-src 'self'"}
    with faulty_site(bundle(doubled()), policy) as site:
        page = browser.new_page()
        page.goto(site.url + "/icon.svg")
        said = page.evaluate(IMPORTED)
        page.close()
    assert said.startswith("LoadError: kernels.") and "Content Security" in said and "'unsafe-eval'" in said


def opened_as_a_file(browser: Browser, folder: Path) -> Page:
    (folder / "page.html").write_text("<!doctype html><title>page</title>")
    page = browser.new_page()
    page.goto((folder / "page.html").as_uri())
    return page


def test_a_page_from_a_file_gets_no_module(browser: Browser, bundle: Write) -> None:
    page = opened_as_a_file(browser, bundle(doubled()))
    said = page.evaluate('() => import("./index.js").catch((error) => error.message)')
    page.close()
    assert said.startswith("Failed to fetch dynamically imported module")


def test_a_module_that_is_given_files_points_to_the_classic_script(browser: Browser, bundle: Write) -> None:
    folder = bundle(doubled())
    with faulty_site(folder) as site:
        page = browser.new_page()
        page.goto(site.url + "/icon.svg")
        said = page.evaluate(IMPORTED.replace("load()", f'load("{folder.as_uri()}")'))
        page.close()
    advice = "from file:// use bundle.iife.js, or serve the folder"
    assert said == f"LoadError: weights.bin: Failed to fetch at {folder.as_uri()}/weights.bin; {advice}"
