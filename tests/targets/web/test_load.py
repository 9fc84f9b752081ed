"""load() and its files over http: what is said of one that is missing, cut short or changed; progress and abort."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faulty_site import Fault, FaultySite, faulty_site

from triport.exporter import ops
from triport.exporter.graph import DType, Graph, Sample, Sym, TensorType
from triport.exporter.reference.run import run_graph

BATCH = Sym.named("batch")
Write = Callable[[Graph], Path]

LAYER = """
  import { load } from "@index";
  const text = (error) => `${error.name}: ${error.message}`;
  const failed = (promise) => promise.then(() => "no error", text);
  process.on("unhandledRejection", (error) => { console.error("unhandled", error); process.exit(9); });
  const result = await (async () => { @body })();
  console.log(JSON.stringify(result));
"""


def in_node(site: FaultySite | Path, body: str) -> Any:
    """What a script returns that has `load`, and `failed(promise)`: the text of its error; the files come over http."""
    folder = site if isinstance(site, Path) else site.folder
    script = LAYER.replace("@index", (folder / "index.js").as_uri()).replace("@body", body)
    if isinstance(site, FaultySite):
        script = script.replace("@site", site.url)
    command = ["node", "--input-type=module", "--eval", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def layer(weight_dtype: type[np.floating[Any]] = np.float32, *, rows: int = 256) -> Graph:
    """One linear layer with 600 kB of weights, or 300 as float16, and a golden sample; or more rows."""
    rng = np.random.default_rng(7)
    graph = Graph("layer")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 600)))
    weight = graph.add_constant(rng.standard_normal((rows, 600)).astype(weight_dtype).astype(np.float32))
    if weight_dtype is np.float16:
        graph.metadata["quantization"] = {"stored": [[16, 0]]}
    graph.set_output("y", graph.add(ops.Linear(), x, weight))
    inputs = {"x": rng.standard_normal((2, 600)).astype(np.float32)}
    graph.samples = [Sample(inputs, run_graph(graph, inputs))]
    return graph


@pytest.fixture
def site(bundle: Write) -> Iterator[FaultySite]:
    with faulty_site(bundle(layer())) as site:
        yield site


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (
            {"weights.bin": [Fault.SHORT] * 2},
            "LoadError: weights.bin: not the file of this export "
            "(expected 615424 bytes, got 307712) at @site/weights.bin; copy the whole folder again, or reload the page",
        ),
        (
            {"weights.bin": [Fault.CHANGED] * 2},
            "LoadError: weights.bin: not the file of this export "
            "(another SHA-256) at @site/weights.bin; copy the whole folder again, or reload the page",
        ),
        (
            {"kernels.wasm": [Fault.CHANGED] * 2},
            "LoadError: kernels.wasm: not the file of this export "
            "(another SHA-256) at @site/kernels.wasm; copy the whole folder again, or reload the page",
        ),
        (
            {"weights.bin": [Fault.MISSING]},
            "LoadError: weights.bin: 404 Not Found at @site/weights.bin; "
            "load(folder) takes the web/ that triport export wrote",
        ),
        (
            {"kernels.wasm": [Fault.MISSING], "weights.bin": [Fault.MISSING]},
            "LoadError: kernels.wasm: 404 Not Found at @site/kernels.wasm; "
            "load(folder) takes the web/ that triport export wrote",
        ),
        (
            {"weights.bin": [Fault.PAGE] * 2},
            "LoadError: weights.bin: not the file of this export "
            "(expected 615424 bytes, got 33) at @site/weights.bin; copy the whole folder again, or reload the page",
        ),
        (
            {"weights.bin": [Fault.BROKEN_OFF]},
            "LoadError: weights.bin: the download broke off after 307712 of 615424 bytes (terminated) "
            "at @site/weights.bin; call load() again",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_the_next_load_works(
    faults: dict[str, list[Fault]], said: str, site: FaultySite
) -> None:
    site.faults.update(faults)
    answer, passed = in_node(
        site,
        """
        const options = { baseUrl: "@site", relaxed: false };
        const answer = await failed(load(options));
        return [answer, (await (await load(options)).selfTest()).passed];
        """,
    )
    assert (answer, passed) == (said.replace("@site", site.url), True)


def test_a_file_that_a_cache_kept_from_another_export_is_asked_for_again(site: FaultySite) -> None:
    site.faults["weights.bin"] = [Fault.CHANGED]
    assert in_node(site, 'return (await (await load("@site")).selfTest()).passed;') is True
    assert site.asked.count("weights.bin") == 2


def test_golden_samples_of_another_export_are_named(site: FaultySite) -> None:
    site.faults["golden.bin"] = [Fault.CHANGED] * 2
    said = in_node(site, 'return failed((await load("@site")).selfTest());')
    assert said.startswith("LoadError: golden.bin: not the file of this export (another SHA-256)")


def test_golden_samples_that_are_cut_short_are_named_where_no_sum_can_be_taken(site: FaultySite) -> None:
    """As outside of secure contexts."""
    site.faults["golden.bin"] = [Fault.SHORT]
    without = 'Object.defineProperty(globalThis, "crypto", { value: {} });'
    said = in_node(site, f'{without} return failed((await load("@site")).selfTest());')
    assert said == "LoadError: golden.bin: not the file of this export; copy the whole folder again, or reload the page"


def test_a_changed_file_in_a_folder_is_named(bundle: Write) -> None:
    folder = bundle(layer())
    weights = folder / "weights.bin"
    weights.write_bytes(bytes(4) + weights.read_bytes()[4:])
    said = in_node(folder, "return failed(load());")
    assert said.startswith("LoadError: weights.bin: not the file of this export (another SHA-256)")


def test_kernels_that_are_of_another_plan_are_named(bundle: Write) -> None:
    folder = bundle(layer())
    script = folder / "index.js"
    script.write_bytes(script.read_bytes().replace(b'"ops":[["gemm"', b'"ops":[["gemmm"'))
    said = in_node(folder, "return failed(load({ relaxed: false }));")
    assert said == "LoadError: kernels.wasm: kernel gemmm is missing: it is of another export"


def test_null_is_taken_for_no_options(bundle: Write) -> None:
    folder = bundle(layer())
    assert in_node(folder, "return (await (await load(null)).selfTest()).passed;") is True
    worker = f"""
        const {{ loadInWorker }} = await import({json.dumps((folder / "worker.js").as_uri())});
        const model = await loadInWorker(null);
        const passed = (await model.selfTest()).passed;
        model.dispose();
        return passed;
    """
    assert in_node(folder, worker) is True


def test_a_file_that_cannot_be_opened_is_named_with_the_systems_words(bundle: Write) -> None:
    folder = bundle(layer())
    (folder / "weights.bin").unlink()
    (folder / "weights.bin").symlink_to("weights.bin")
    facts = in_node(folder, "return load().catch(({ message, cause }) => [message, cause.code, cause.path]);")
    path = str(folder / "weights.bin")
    assert facts[0].startswith("weights.bin: ELOOP: ") and facts[1:] == ["ELOOP", path]


def test_an_error_says_which_file_and_keeps_its_cause(bundle: Write) -> None:
    folder = bundle(layer())
    (folder / "weights.bin").unlink()
    facts = in_node(folder, "return load().catch(({ name, file, cause }) => [name, file, cause.code]);")
    assert facts == ["LoadError", "weights.bin", "ENOENT"]


@pytest.mark.parametrize("weight_dtype", [np.float32, np.float16])
def test_progress_ends_with_every_byte_of_the_weights(weight_dtype: type[np.floating[Any]], bundle: Write) -> None:
    with faulty_site(bundle(layer(weight_dtype))) as site:
        steps, passed = in_node(
            site,
            """
            const steps = [];
            const model = await load({ baseUrl: "@site", onProgress: (step) => steps.push(step) });
            return [steps, (await model.selfTest()).passed];
            """,
        )
    assert passed
    loaded = [step["loaded"] for step in steps]
    assert loaded == sorted(loaded) and len(loaded) > 1
    assert {step["total"] for step in steps} == {loaded[-1]} == {(site.folder / "weights.bin").stat().st_size}


def test_weights_come_into_the_models_memory_with_no_second_copy(site: FaultySite) -> None:
    whole = in_node(
        site,
        """
        const whole = [], { arrayBuffer } = Response.prototype;
        Response.prototype.arrayBuffer = function () {
          whole.push(this.url.split("/").pop());
          return arrayBuffer.call(this);
        };
        await load({ baseUrl: "@site", relaxed: false });
        return whole;
        """,
    )
    assert whole == ["kernels.wasm"]


def test_an_error_of_the_progress_callback_ends_the_load(site: FaultySite) -> None:
    said = in_node(site, 'return failed(load({ baseUrl: "@site", onProgress() { throw new Error("mine"); } }));')
    assert said == "Error: mine"


@pytest.mark.parametrize("file", ["kernels.wasm", "weights.bin"])
def test_a_download_that_stalls_is_aborted_with_the_signals_reason(file: str, site: FaultySite) -> None:
    site.faults[file] = [Fault.STALLS]
    said = in_node(
        site,
        """
        const stop = new AbortController();
        const loading = failed(load({ baseUrl: "@site", relaxed: false, signal: stop.signal }));
        while (!(await (await fetch("@site/asked")).json()).some((name) => name.startsWith("@file")));
        stop.abort();
        const again = async () => (await (await load("@site")).selfTest()).passed;
        const early = failed(load({ baseUrl: "@site", signal: AbortSignal.abort(new Error("mine")) }));
        return [await loading, await early, await again()];
        """.replace("@file", file),
    )
    assert said == ["AbortError: This operation was aborted", "Error: mine", True]


def test_a_signal_that_knows_no_reason_still_gives_an_abort_error(site: FaultySite) -> None:
    """Chrome before 98 has none."""
    site.faults["weights.bin"] = [Fault.STALLS]
    said = in_node(
        site,
        """
        const stop = new AbortController();
        Object.defineProperty(stop.signal, "reason", { value: undefined });
        const loading = failed(load({ baseUrl: "@site", signal: stop.signal }));
        while (!(await (await fetch("@site/asked")).json()).includes("weights.bin"));
        stop.abort();
        return loading;
        """,
    )
    assert said == "AbortError: aborted"


def test_a_load_that_failed_ends_its_downloads(site: FaultySite) -> None:
    site.faults["weights.bin"] = [Fault.STALLS]
    said, left = in_node(
        site,
        """
        const said = await failed(load({ baseUrl: "@site", onProgress() { throw new Error("mine"); } }));
        const left = async () => (await fetch("@site/left")).json();
        for (let i = 0; i < 200 && !(await left()).length; i++) await new Promise((done) => setTimeout(done, 20));
        return [said, await left()];
        """,
    )
    assert (said, left) == ("Error: mine", ["weights.bin"])


def test_reading_a_file_of_node_ends_with_the_signal(bundle: Write) -> None:
    parts, told, said = in_node(
        bundle(layer(rows=12000)),  # 29 MB, which come 1 MiB at a time
        """
        const stop = new AbortController(), steps = [[], []];
        await load({ onProgress: (step) => steps[0].push(step) });
        const onProgress = (step) => steps[1].push(step) && stop.abort(new Error("mine"));
        const said = await failed(load({ onProgress, signal: stop.signal }));
        return [...steps.map(({ length }) => length), said];
        """,
    )
    assert said == "Error: mine"
    assert told <= parts / 2  # what was under way when the signal came is still told


def test_a_folder_is_the_same_one_for_the_self_test(bundle: Write) -> None:
    """Also where the process, or the page's address, has moved on."""
    folder = bundle(layer())
    moved = f"""
        process.chdir({json.dumps(str(folder.parent))});
        const model = await load({json.dumps(folder.name)});
        process.chdir("/");
        return (await model.selfTest()).passed;
    """
    assert in_node(folder, moved) is True


def test_a_model_that_was_disposed_of_holds_no_memory(bundle: Write) -> None:
    held = """
        const { setFlagsFromString } = await import("node:v8");
        setFlagsFromString("--expose-gc");
        const gc = (await import("node:vm")).runInNewContext("gc");
        const { instantiate } = WebAssembly;
        let memory;
        WebAssembly.instantiate = async (...args) => {
          const made = await instantiate(...args);
          if (made.instance) memory = new WeakRef(made.instance.exports.memory); // Node's own are none
          return made;
        };
        const model = await load();
        const passed = (await model.selfTest()).passed;
        model.dispose();
        for (let i = 0; i < 5; i++) {
          await new Promise((done) => setTimeout(done, 10)); // what a WeakRef gives stays until its turn ends
          gc();
        }
        return [passed, memory.deref() === undefined, model.memory];
    """
    assert in_node(bundle(layer()), held) == [True, True, 0]


def test_the_request_for_the_weights_is_on_its_way_while_kernels_are_chosen(site: FaultySite) -> None:
    order = """
        const seen = [], { fetch } = globalThis, { validate } = WebAssembly;
        globalThis.fetch = (url, options) => {
          seen.push(new URL(url).pathname.split("/").pop());
          return fetch(url, options);
        };
        WebAssembly.validate = (bytes) => {
          seen.push("kernels");
          return validate(bytes);
        };
        await load({ baseUrl: "@site" });
        return seen.slice(0, 2);
    """
    assert in_node(site, order) == ["weights.bin", "kernels"]


def test_a_signal_that_is_aborted_later_does_not_touch_the_model(site: FaultySite) -> None:
    passed = in_node(
        site,
        """
        const stop = new AbortController();
        const model = await load({ baseUrl: "@site", signal: stop.signal });
        stop.abort();
        return (await model.selfTest()).passed;
        """,
    )
    assert passed is True
