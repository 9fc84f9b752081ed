"""Scripts that are no modules: the whole bundle in one, and one that fetches the weights and may stand in a page."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faulty_site import POLICY, Fault, FaultySite, faulty_site
from playwright.sync_api import Browser, Page

from triport.exporter import ops
from triport.exporter.graph import DType, Graph, Sample, Sym, TensorType
from triport.exporter.reference.run import run_graph

Write = Callable[[Graph], Path]
ServeFaulty = Callable[..., FaultySite]

SELF_TEST = """async (options) => {
  const [{ load }] = Object.values(triport);
  return (await (await load(options)).selfTest()).passed;
}"""
ICON = '<!doctype html><link rel="icon" href="data:,">'


def layer(name: str = "layer", *, halves: bool = False) -> Graph:
    """One linear layer, of weights stored as float16 on request, with a golden sample."""
    rng = np.random.default_rng(7)
    graph = Graph(name)
    x = graph.add_input("x", TensorType(DType.FLOAT32, (Sym.named("batch"), 6)))
    graph.set_output(
        "y", graph.add(ops.Linear(), x, graph.add_constant(rng.integers(-9, 9, (16, 6)).astype(np.float32)))
    )
    if halves:
        graph.metadata["quantization"] = {"stored": [[16, 0]]}
    inputs = {"x": rng.standard_normal((2, 6)).astype(np.float32)}
    graph.samples = [Sample(inputs, run_graph(graph, inputs))]
    return graph


def in_page(folder: Path) -> str:
    """A script element that holds the whole script."""
    return f"<script>{(folder / 'index.iife.js').read_text('ascii')}</script>"


def policy(element: str) -> dict[str, str]:
    """The strict policy, with the sum of one element's script."""
    text = element.removeprefix("<script>").removesuffix("</script>")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return {"Content-Security-Policy": f"{POLICY} 'sha256-{digest}'; img-src data:"}


@pytest.mark.parametrize("script", ["bundle.iife.js", "index.iife.js"])
def test_a_classic_script_answers_as_the_reference(
    script: str, page: Page, bundle: Write, serve: Callable[[Path], str]
) -> None:
    folder = bundle(layer())
    (folder / "page.html").write_text(
        f'<!doctype html><link rel="icon" href="icon.svg"><script src="{script}"></script>'
    )
    page.goto(serve(folder) + "/page.html")
    got = page.evaluate(
        """async () => {
          const model = await triport["layer"].load({ checkNaN: true });
          const { y } = await model.run({ x: Float32Array.from({ length: 18 }, (_, i) => i / 8) });
          return [y.shape, Array.from(y.data)];
        }"""
    )
    x = (np.arange(18) / 8).astype(np.float32).reshape(3, 6)
    np.testing.assert_array_equal(np.reshape(got[1], got[0]), run_graph(layer(), {"x": x})["y"])


def test_the_bundle_in_one_script_works_on_a_page_from_a_file(page: Page, bundle: Write) -> None:
    folder = bundle(layer())
    (folder / "page.html").write_text(f'{ICON}<script src="bundle.iife.js"></script>')
    page.goto((folder / "page.html").as_uri())
    assert page.evaluate(SELF_TEST) is True


@pytest.mark.parametrize("polyfilled", ["", "<script>globalThis.process = { env: {} };</script>"])
def test_a_page_from_a_file_is_pointed_to_the_script_that_holds_all(
    polyfilled: str, browser: Browser, bundle: Write
) -> None:
    folder = bundle(layer())
    (folder / "page.html").write_text(f'{ICON}{polyfilled}<script src="index.iife.js"></script>')
    page = browser.new_page()  # the console speaks of the file that the browser gives no page
    page.goto((folder / "page.html").as_uri())
    said = page.evaluate(f"({SELF_TEST})().catch(({{ name, message }}) => `${{name}}: ${{message}}`)")
    page.close()
    problem = f"Failed to fetch at {(folder / 'weights.bin').as_uri()}"
    assert said == f"LoadError: weights.bin: {problem}; from file:// use bundle.iife.js, or serve the folder"


def test_a_script_that_stands_in_the_page_leaves_one_request(
    page: Page, bundle: Write, serve_faulty: ServeFaulty
) -> None:
    folder = bundle(layer())
    element = in_page(folder)
    (folder / "page.html").write_text(ICON + element)
    site = serve_faulty(folder, policy(element) | {"Cache-Control": "no-store"})
    page.goto(f"{site.url}/page.html")
    page.evaluate("async () => (await triport.layer.load()).meta.name")
    assert site.asked == ["page.html", "weights.bin"]
    assert page.evaluate(SELF_TEST) is True


def test_a_script_in_a_page_elsewhere_takes_all_files_from_the_folder_that_load_names(
    page: Page, bundle: Write, serve: Callable[..., str]
) -> None:
    folder = bundle(layer(halves=True))
    element = in_page(folder)
    (folder.parent / "app").mkdir()
    (folder.parent / "app" / "page.html").write_text(ICON + element)
    page.goto(serve(folder.parent, policy(element)) + "/app/page.html")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.split("/", 3)[3]))
    assert page.evaluate(SELF_TEST, {"baseUrl": f"../{folder.name}", "cache": True}) is True
    assert sorted(asked) == sorted(
        f"{folder.name}/{name}" for name in ("cache.js", "golden.bin", "golden.js", "weights.bin", "weights.js")
    )


def test_a_script_in_a_page_goes_by_the_pages_base_address(
    page: Page, bundle: Write, serve: Callable[..., str]
) -> None:
    folder = bundle(layer())
    element = in_page(folder)
    (folder.parent / "page.html").write_text(f'{ICON}<base href="/{folder.name}/">{element}')
    page.goto(serve(folder.parent, policy(element)) + "/page.html")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.split("/", 3)[3]))
    assert page.evaluate(SELF_TEST) is True and page.evaluate(SELF_TEST, "./") is True
    assert set(asked) == {f"{folder.name}/{name}" for name in ("weights.bin", "golden.js", "golden.bin")}


def test_a_frame_without_an_address_takes_its_parents(page: Page, bundle: Write, serve: Callable[..., str]) -> None:
    folder = bundle(layer())
    element = in_page(folder)
    (folder / "page.html").write_text(ICON)
    page.goto(serve(folder, policy(element)) + "/page.html")
    frame = """async (text) => {
      const frame = document.body.appendChild(document.createElement("iframe"));
      await new Promise((done) => Object.assign(frame, { onload: done, srcdoc: text }));
      return (await (await frame.contentWindow.triport.layer.load("./")).selfTest()).passed;
    }"""
    assert page.evaluate(frame, element) is True


def test_weights_of_another_export_have_the_page_read_again(
    page: Page, bundle: Write, serve_faulty: ServeFaulty
) -> None:
    folder = bundle(layer())
    element = in_page(folder)
    (folder / "page.html").write_text(f'{ICON}<base href="/elsewhere/">{element}')
    site = serve_faulty(folder, policy(element))
    page.goto(f"{site.url}/page.html")
    site.faults["weights.bin"] = [Fault.CHANGED] * 2
    said = page.evaluate("() => triport.layer.load('/').catch(({ message }) => message)")
    where = f"{site.url}/weights.bin; copy the whole folder again, or reload the page"
    assert said == f"weights.bin: not the file of this export (another SHA-256) at {where}"
    assert site.asked == ["page.html", "weights.bin", "weights.bin", "page.html"]


def test_two_models_on_a_page_are_two(page: Page, bundle: Write, serve: Callable[..., str]) -> None:
    elements = [in_page(bundle(layer(name))) for name in ("one", "constructor")]
    folder = bundle(layer())
    (folder / "page.html").write_text("\n".join([ICON, *elements, '<script src="bundle.iife.js"></script>']))
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(
        serve(folder, {"Content-Security-Policy": "script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'"})
        + "/page.html"
    )
    names = ["one", "constructor", "layer"]
    told = page.evaluate(
        "(names) => Promise.all(names.map(async (name) => (await triport[name].load()).meta.name))", names
    )
    assert (told, said) == (names, [])


def test_what_is_said_of_a_missing_file_names_the_folder_that_load_named(browser: Browser, bundle: Write) -> None:
    folder = bundle(layer())
    (folder / "page.html").write_text(
        '<!doctype html><link rel="icon" href="icon.svg"><script src="index.iife.js"></script>'
    )
    with faulty_site(folder, {}) as site:
        site.faults["weights.bin"] = [Fault.MISSING]
        page = browser.new_page()  # the console speaks of the file, too
        page.goto(f"{site.url}/page.html")
        said = page.evaluate("() => triport.layer.load('/models').catch(({ message }) => message)")
        page.close()
    where = f"{site.url}/models/weights.bin"
    assert said == f"weights.bin: 404 Not Found at {where}; load(folder) takes the web/ that triport export wrote"


IN_A_BLOB = """async ([script, folders]) => {
  const answer = `onmessage = async ({ data }) => {
    const said = ({ name, message }) => name + ": " + message;
    postMessage(await triport.layer.load(data).then((model) => model.selfTest().then(({ passed }) => passed), said));
  };`;
  const worker = new Worker(URL.createObjectURL(new Blob([script, answer])));
  const told = [];
  for (const folder of folders) {
    worker.postMessage(folder);
    told.push(await new Promise((done) => (worker.onmessage = ({ data }) => done(data))));
  }
  return told;
}"""


def test_a_worker_made_of_a_blob_takes_whole_addresses(page: Page, bundle: Write, serve: Callable[..., str]) -> None:
    folder = bundle(layer())
    (folder / "page.html").write_text(ICON)
    site = serve(folder, {"Content-Security-Policy": f"{POLICY}; worker-src blob:; img-src data:"})
    page.goto(f"{site}/page.html")
    none, relative, whole = page.evaluate(IN_A_BLOB, [(folder / "index.iife.js").read_text("ascii"), [None, "/", site]])
    problem = "LoadError: weights.bin: Failed to construct 'URL': Invalid"
    help_line = "; load(folder) takes a whole address here; in Node import index.js"
    assert [said.startswith(problem) and said.endswith(help_line) for said in (none, relative)] == [True, True]
    assert whole is True


def test_node_is_pointed_to_the_module(bundle: Write) -> None:
    folder = bundle(layer())
    script = f"""
        (0, eval)(require("node:fs").readFileSync({json.dumps(str(folder / "index.iife.js"))}, "utf8"));
        const said = ({{ name, message }}) => `${{name}}: ${{message}}`;
        Promise.all([undefined, {json.dumps(str(folder))}].map((folder) => triport.layer.load(folder).catch(said)))
          .then((told) => console.log(JSON.stringify(told)));
    """
    done = subprocess.run(["node", "--input-type=commonjs", "-e", script], capture_output=True, text=True, check=True)
    help_line = "load(folder) takes a whole address here; in Node import index.js"
    assert json.loads(done.stdout) == [f"LoadError: weights.bin: Invalid URL; {help_line}"] * 2


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize(
    "name", ["a</script><script>globalThis.seen=1</script>", "a\nglobalThis.seen=1//\u2028", "<!--<script>"]
)
def test_a_name_is_no_code_in_a_page(
    name: str, held: bool, page: Page, bundle: Write, serve_faulty: ServeFaulty
) -> None:
    folder = bundle(layer(name))
    element = in_page(folder) if held else '<script src="bundle.iife.js"></script>'
    (folder / "page.html").write_text(f"<!doctype html><link rel=icon href=icon.svg>{element}<p>end")
    site = serve_faulty(folder, {"Content-Security-Policy": ""})
    page.goto(f"{site.url}/page.html")
    told = page.evaluate("async (name) => [(await triport[name].load()).meta.name, globalThis.seen]", name)
    assert told == [name, None] and page.inner_text("p") == "end"


TWICE = """
const { readFileSync } = require("node:fs"), said = [];
console.warn = (text) => said.push(text);
const script = readFileSync(process.argv[1], "utf8");
(0, eval)(script);
(0, eval)(script);
console.log(JSON.stringify([Object.keys(triport), globalThis.seen, said]));
"""


@pytest.mark.parametrize("script", ["bundle.iife.js", "index.iife.js"])
def test_a_name_is_no_code_in_a_script_and_is_said_when_it_is_taken(script: str, bundle: Write) -> None:
    name = "a\nglobalThis.seen=1//\u2028"
    command = ["node", "-e", TWICE, str(bundle(layer(name)) / script)]
    told: Any = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    script_name = f"triport[{json.dumps(name, ensure_ascii=False)}]"
    taken = f"{script_name} was there and is replaced: triport describe --name gives a model another name"
    assert told == [[name], None, [taken]]
