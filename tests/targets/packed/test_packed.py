"""Browser folders around runtimes of npm: each in its real runtime, in Node and in Chromium, and what is refused."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from npm_packages import WEB_RUNTIMES, installed
from playwright.sync_api import Page, sync_playwright

import triport as tp
from triport.cli.main import run
from triport.exporter import ops
from triport.exporter.errors import CheckError, EnvironmentError_, ModelError, UsageError
from triport.exporter.graph import Array, DType, Graph, Sample, Sym, TensorType
from triport.exporter.ops import Activation, Layout
from triport.exporter.reference.run import run_graph
from triport.runtime_checks import ExportFailed, Status
from triport.runtime_checks.runners.chromium import FLAGS, Chromium
from triport.runtime_checks.runners.packed import VARIABLE, PackedChromium, PackedNode
from triport.targets.packed.packings import PACKINGS

BATCH = Sym.named("batch")


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The node_modules with every runtime, where triport looks for it."""
    folder = installed(WEB_RUNTIMES) / "node_modules"
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder


def weights(*shape: int) -> Array:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def picture() -> Graph:
    """conv - pool - linear of an image, with a golden sample of two rows."""
    graph = Graph("picture")
    image = graph.add_input("image", TensorType(DType.FLOAT32, (BATCH, 8, 8, 1)))
    conv = ops.Conv((1, 1), ((1, 1), (1, 1)), (1, 1), 1, Layout.CHANNELS_LAST, Activation.RELU)
    x = graph.add(conv, image, graph.add_constant(weights(4, 3, 3, 1)), graph.add_constant(weights(4)))
    x = graph.add(ops.MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), Layout.CHANNELS_LAST), x)
    x = graph.add(ops.Reshape((BATCH, 64)), x)
    graph.set_output("scores", graph.add(ops.Linear(), x, graph.add_constant(weights(3, 64))))
    inputs = {"image": weights(2, 8, 8, 1)}
    graph.samples = [Sample(inputs, run_graph(graph, inputs))]
    return graph


def words(dtype: DType = DType.INT64) -> Graph:
    """Rows of a table by ids [batch, length], and which of the ids are 0."""
    graph = Graph("words")
    ids = graph.add_input("ids", TensorType(dtype, (BATCH, Sym.named("length"))))
    graph.set_output("rows", graph.add(ops.Gather(0), graph.add_constant(weights(5, 3)), ids))
    graph.set_output("zero", graph.add(ops.Equal(), ids, graph.add_constant(np.array(0, dtype.numpy))))
    graph.set_output("same", graph.add(ops.Add(), ids, graph.add_constant(np.array(1, dtype.numpy))))
    inputs = {"ids": np.array([[0, 4, 2]], dtype.numpy)}
    graph.samples = [Sample(inputs, run_graph(graph, inputs))]
    return graph


@pytest.mark.parametrize("runtime", PACKINGS)
def test_every_runtime_answers_as_the_model_in_the_browser_and_in_node(
    runtime: str, modules: Path, tmp_path: Path
) -> None:
    where = ["node", "chromium"] if PACKINGS[runtime].in_node else ["chromium"]
    report = tp.export(picture(), tmp_path, to=["web"], web_runtime=runtime, runners=where, strict_verify=True)
    assert [(runner.runner, runner.status.value) for _, runner in report.rows() if runner] == [
        (name, "verified") for name in where
    ]
    assert report.ports[0].needs == dict(PACKINGS[runtime].packages)
    assert tp.verify(tmp_path).passed
    (part,) = tp.inspect(tmp_path).parts
    assert part.kind == f"browser folder for {PACKINGS[runtime].title}"
    assert [str(tensor) for tensor in part.inputs] == ["image float32[batch, 8, 8, 1]"]
    # A page fetches the script, what the folder says of itself, and the model; its runtime comes beside.
    fetched = [file for file in (tmp_path / "web").iterdir() if file.name.startswith(("index.js", "m", "group1"))]
    assert report.ports[0].download_bytes == sum(file.stat().st_size for file in fetched)
    package = json.loads((tmp_path / "web" / "package.json").read_text())
    assert package["dependencies"] == dict(PACKINGS[runtime].packages)


@pytest.mark.parametrize("runtime", ["ort", "tfjs"])
def test_integers_and_bools_come_as_our_own_bundle_gives_them(runtime: str, modules: Path, tmp_path: Path) -> None:
    graph = words()
    report = tp.export(graph, tmp_path, to=["web"], web_runtime=runtime, runners=["node"])
    assert report.status.value == "verified"
    with PackedNode(PACKINGS[runtime], tmp_path).load(tmp_path / "web") as session:
        outputs = session.run({"ids": np.array([[3, 0], [1, 1]], np.int32)})
    assert {name: array.dtype.name for name, array in outputs.items()} == {
        "rows": "float32",
        "zero": "bool",
        "same": "int32",
    }
    np.testing.assert_array_equal(outputs["same"], [[4, 1], [2, 2]])
    np.testing.assert_array_equal(outputs["zero"], [[False, True], [False, False]])


@pytest.mark.parametrize("runtime", PACKINGS)
def test_feeds_are_checked_as_in_our_own_bundle(runtime: str, modules: Path, tmp_path: Path) -> None:
    tp.export(picture(), tmp_path, to=["web"], web_runtime=runtime, verify=False)
    packing = PACKINGS[runtime]
    runner = PackedNode(packing, tmp_path) if packing.in_node else PackedChromium(packing, tmp_path)
    with runner.load(tmp_path / "web") as session:
        with pytest.raises(CheckError) as caught:
            session.run_unchecked({"image": np.zeros((1, 7, 8, 1), np.float32)})
        assert 'input "image": expected shape [1,8,8,1], got [1,7,8,1]' in str(caught.value)
        assert session.run({"image": np.zeros((3, 8, 8, 1), np.float32)})["scores"].shape == (3, 3)


IN_NODE = """
const { load } = await import(process.argv[1]);
const { topK } = await import(new URL("labels.js", process.argv[1]));
const model = await load();
const image = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i));
const both = await Promise.all([model.run({ image }), model.run({ image: { data: image, shape: [1, 8, 8, 1] } })]);
const wrong = await model.run({ images: image }).catch((error) => error.message);
const { passed } = await model.selfTest();
await model.dispose();
const late = await model.run({ image }).catch((error) => error.message);
const [{ index }] = topK(model, both[0], 1);
console.log(JSON.stringify([both.map(({ scores }) => Array.from(scores.data)), wrong, passed, late, index]));
"""


@pytest.mark.parametrize("runtime", ["ort", "tfjs"])
def test_a_script_of_node_finds_the_packages_above_it_and_calls_wait_for_each_other(
    runtime: str, modules: Path, tmp_path: Path
) -> None:
    tp.export(picture(), tmp_path / "dist", to=["web"], web_runtime=runtime, verify=False)
    (tmp_path / "node_modules").symlink_to(modules, target_is_directory=True)
    script = (tmp_path / "dist" / "web" / "index.js").as_uri()
    command = ["node", "--input-type=module", "-e", IN_NODE, script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    both, wrong, passed, late, best = json.loads(done.stdout)
    image = np.sin(np.arange(64)).astype(np.float32).reshape(1, 8, 8, 1)
    wanted = run_graph(picture(), {"image": image})["scores"][0]
    for scores in both:
        np.testing.assert_allclose(scores, wanted, rtol=1e-5, atol=1e-5)
    assert wrong == "inputs: expected {image: float32[batch,8,8,1]}, missing image, got images"
    assert passed is True
    assert best == wanted.argmax()
    assert late == "run() after dispose()"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

    def log_message(self, *_: object) -> None:
        """No talk on stderr."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Page]]:
    """The page of a folder around each runtime, open in Chromium, with the packages in the folder."""
    root, modules = tmp_path_factory.mktemp("site"), installed(WEB_RUNTIMES) / "node_modules"
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=Chromium().found(), args=list(FLAGS))
        opened = {}
        for runtime in PACKINGS:
            tp.export(picture(), root / runtime, to=["web"], web_runtime=runtime, verify=False)
            (root / runtime / "web" / "node_modules").symlink_to(modules, target_is_directory=True)
            page = opened[runtime] = browser.new_page()
            page.goto(f"http://127.0.0.1:{server.server_port}/{runtime}/web/index.html")
        yield opened
        browser.close()
    server.shutdown()
    server.server_close()


def test_the_pages_pass_once_the_packages_stand_in_their_folders(pages: dict[str, Page]) -> None:
    for page in pages.values():
        page.wait_for_selector("#state.pass, #state.fail", timeout=60_000)
    said = {runtime: page.inner_text("#state") for runtime, page in pages.items()}
    assert said == dict.fromkeys(PACKINGS, "Passed: 1 of 1 samples answer as the original model did.")


OPTIONS = """async () => {
  const { load } = await import("./index.js");
  const text = (error) => `${error.name}: ${error.message}`;
  const told = (promise) => promise.then(({ scores }) => (scores ? scores.shape : "loaded"), text);
  const mine = AbortSignal.abort(new Error("mine")), late = new AbortController();
  const model = await load(), strict = await load({ checkNaN: true, signal: late.signal });
  late.abort();
  const image = Float32Array.from({ length: 64 }, (_, i) => (i === 3 ? NaN : i));
  const under = model.run({ image }), waits = new AbortController();
  const waiting = model.run({ image }, { signal: waits.signal });
  waits.abort(new Error("waited"));
  const loads = [{ signal: mine }, { onProgress() {} }, { cache: undefined }];
  const runs = [[model, { signal: mine }], [model, { checkNaN: true }], [model, { chekNaN: true }],
    [strict], [strict, { checkNaN: false }]];
  const bare = await told(model.run(new Float32Array(150528)));
  const begun = new AbortController(), broken = told(load({ signal: begun.signal }));
  begun.abort(new Error("begun"));
  const said = [await told(under), await told(waiting), await broken];
  for (const options of loads) said.push(await told(load(options)));
  for (const [of, options] of runs) said.push(await told(of.run({ image }, options)));
  return [...said, bare];
}"""


@pytest.mark.parametrize("runtime", PACKINGS)
def test_signals_and_nan_are_as_in_our_own_bundle_and_other_options_are_named(
    runtime: str, pages: dict[str, Page]
) -> None:
    ran, nan = [1, 3], 'TypeError: input "image": expected numbers, got NaN at index 3'
    loads = "baseUrl, runtimeUrl, signal, checkNaN" + (", threads" if runtime == "ort" else "")
    assert pages[runtime].evaluate(OPTIONS) == [
        ran,
        "Error: waited",
        "Error: begun",
        "Error: mine",
        f"TypeError: load: unknown option onProgress; there are {loads}",
        "loaded",
        "Error: mine",
        nan,
        "TypeError: run: unknown option chekNaN; there are signal, checkNaN",
        nan,
        ran,
        "TypeError: inputs: expected {image: float32[batch,8,8,1]}, missing image, got Float32Array(150528)",
    ]


@contextmanager
def another_page(page: Page) -> Iterator[Page]:
    """The page once more, in which nothing has loaded the model."""
    browser = page.context.browser
    assert browser is not None
    other = browser.new_page()
    other.route("**/demo.js", lambda route: route.fulfill(content_type="text/javascript", body=""))
    other.goto(page.url)
    yield other
    other.close()


TOGETHER = """
const first = await import(address), second = await import(`${address}?again`); // a copy, as of another folder
const started = await Promise.allSettled([first.load(), second.load(), first.load()]);
const refused = started.filter(({ reason }) => reason).map(({ reason }) => String(reason));
const models = [...started.flatMap(({ value }) => value ?? []), await second.load()];
const image = new Float32Array(64).fill(1);
const answers = await Promise.all(models.map((model) => model.run({ image })));
return [refused, new Set(answers.map(({ scores }) => String(scores.data))).size, answers.length];
"""


@pytest.mark.parametrize("runtime", PACKINGS)
def test_loads_at_the_same_time_start_the_runtime_of_the_page_once(runtime: str, pages: dict[str, Page]) -> None:
    here = "new URL('index.js', location).href"
    with another_page(pages[runtime]) as page:
        assert page.evaluate(f"async () => {{ const address = {here}; {TOGETHER} }}") == [[], 1, 4]


def test_a_start_of_tensorflow_js_that_the_page_began_is_waited_for(pages: dict[str, Page]) -> None:
    with another_page(pages["tfjs"]) as page:
        script = """async () => {
          const { load } = await import("./index.js"), core = await import("@tensorflow/tfjs-core");
          const { setWasmPaths } = await import("@tensorflow/tfjs-backend-wasm");
          setWasmPaths(new URL("node_modules/@tensorflow/tfjs-backend-wasm/dist/", location).href);
          const { fetch } = window; // a start that lasts until load() has read meta.json
          window.fetch = async (url, options) => {
            if (String(url).endsWith(".wasm")) await new Promise((resolve) => setTimeout(resolve, 1000));
            return fetch(url, options);
          };
          const own = core.setBackend("wasm");
          const model = await load();
          return [await own, (await model.selfTest()).passed];
        }"""
        assert page.evaluate(script) == [True, True]


def in_node(script: str, folder: Path, modules: Path) -> Any:
    """What a function's body answers in Node, where `address` is that of the folder's index.js."""
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(modules, target_is_directory=True)
    body = f"const address = process.argv[1]; console.log(JSON.stringify(await (async () => {{ {script} }})()));"
    command = ["node", "--input-type=module", "-e", body, (folder / "web" / "index.js").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("runtime", ["ort", "tfjs"])
def test_loads_at_the_same_time_start_the_runtime_once_in_node(runtime: str, modules: Path, tmp_path: Path) -> None:
    tp.export(picture(), tmp_path, to=["web"], web_runtime=runtime, verify=False)
    assert in_node(TOGETHER, tmp_path, modules) == [[], 1, 4]


ODD = """
const { load } = await import(address);
const words = ({ name, message, file }) => [name, file, message.split(" at ")[0]];
const told = (promise) => promise.then(() => "done", words);
const said = [await told(load(null)), await told(load("/nowhere"))];
const model = await load({ baseUrl: undefined });
said.push(await told(model.run({ image: new Float32Array(64) }, null)));
return said;
"""


@pytest.mark.parametrize("runtime", ["ort", "tfjs"])
def test_nothing_is_no_options_and_a_missing_file_is_named(runtime: str, modules: Path, tmp_path: Path) -> None:
    tp.export(picture(), tmp_path, to=["web"], web_runtime=runtime, verify=False)
    said = ["done", ["LoadError", "meta.json", "meta.json: no such file"], "done"]
    assert in_node(ODD, tmp_path, modules) == said


BROKEN = """
const { load } = await import(address), { rm, truncate, writeFile } = await import("node:fs/promises");
const told = ({ name, message, file, cause }) => [name, file, message.split(" at ")[0], cause?.code ?? cause?.name];
const there = (name) => new URL(name, address), said = [];
const model = await load();
await rm(there("golden.bin"));
said.push(await model.selfTest().catch(told));
await rm(there(process.env.MODEL));
said.push(await load().catch(told));
await writeFile(there("meta.json"), "<!doctype html>");
said.push(await load().catch(told));
await writeFile(there("meta.json"), '{"format": "triport-packed", "version": 2}');
said.push(await load().catch(told));
return said;
"""


@pytest.mark.parametrize(("runtime", "file"), [("ort", "model.onnx"), ("tfjs", "model.json")])
def test_each_file_that_cannot_be_used_is_named(
    runtime: str, file: str, modules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tp.export(picture(), tmp_path, to=["web"], web_runtime=runtime, verify=False)
    monkeypatch.setenv("MODEL", file)
    golden, model, text, version = in_node(BROKEN, tmp_path, modules)
    assert golden == ["LoadError", "golden.bin", "golden.bin: no such file", "ENOENT"]
    assert model == ["LoadError", file, f"{file}: no such file", "ENOENT"]
    assert text == ["LoadError", "meta.json", "meta.json: no JSON", "SyntaxError"]
    expected = "meta.json: expected format triport-packed version 1, got triport-packed version 2"
    assert version[:3] == ["LoadError", "meta.json", expected]


@pytest.mark.parametrize("threads", ["-1", "0", "1.5", "NaN", "null", '"auto"'])
def test_ort_refuses_what_is_no_number_of_threads(threads: str, modules: Path, tmp_path: Path) -> None:
    tp.export(picture(), tmp_path, to=["web"], web_runtime="ort", verify=False)
    script = "const { load } = await import(address); return load({ threads: THREADS }).then(() => 0, String);"
    said = in_node(script.replace("THREADS", threads), tmp_path, modules)
    assert said == f"TypeError: load: threads is a number of threads, got {threads.strip(chr(34))}"


def test_a_file_that_a_server_lacks_is_named(pages: dict[str, Page]) -> None:
    script = """async () => {
      const { load } = await import("./index.js");
      const { name, file, message } = await load("/nowhere/").catch((error) => error);
      return [name, file, message.split(" at ")[0]];
    }"""
    for page in pages.values():
        assert page.evaluate(script) == ["LoadError", "meta.json", "meta.json: 404 File not found"]


def test_tensorflow_js_asks_for_the_float_model_where_one_is_quantized(tmp_path: Path) -> None:
    quantized = tp.quantize(picture(), "int8", calibration={"image": weights(4, 8, 8, 1)})
    with pytest.raises(ModelError, match="help: export the float model that it was quantized from; or leave"):
        tp.export(quantized, tmp_path / "dist", to=["web"], web_runtime="tfjs", verify=False)


def test_litert_refuses_dtypes_and_free_sizes_before_anything_is_written(tmp_path: Path) -> None:
    out = tmp_path / "dist"
    with pytest.raises(ModelError, match='output "zero" is bool') as caught:
        fixed = words()
        tp.export(fixed, out, to=["web"], web_runtime="litert", verify=False)
    assert caught.value.code == "TP105"
    graph = Graph("free")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, Sym.named("length"))))
    graph.set_output("y", graph.add(ops.Relu(), x))
    with pytest.raises(ModelError, match=r'input "x" is float32.*every size but the batch') as caught:
        tp.export(graph, out, to=["web"], web_runtime="litert", verify=False)
    assert caught.value.code == "TP104"
    assert not out.exists()


def test_an_unknown_runtime_and_one_without_the_browser_port_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown web runtime 'webgl'; they are triport, ort, litert, tfjs"):
        tp.export(picture(), tmp_path / "dist", to=["web"], web_runtime="webgl")
    with pytest.raises(UsageError, match="TP005"):
        tp.export(picture(), tmp_path / "dist", to=["onnx"], web_runtime="ort")
    assert not (tmp_path / "dist").exists()


def test_without_the_npm_package_the_port_is_not_verified_and_the_install_line_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nothing"))
    monkeypatch.chdir(tmp_path)
    graph, out = tmp_path / "picture.triport", tmp_path / "dist"
    picture().save(graph)
    line = f"npm install --prefix {out} onnxruntime-web@1.30.0"
    arguments = ["export", str(graph), "--to", "web", "--web-runtime", "ort", "-o", str(out)]
    assert run(arguments) == 0
    (runner,) = tp.verify(out).ports[0].runners
    assert (runner.status.value, runner.install) == ("not verified", line)
    with pytest.raises(EnvironmentError_, match="web cannot be verified here") as caught:
        tp.export(graph, tmp_path / "other", to=["web"], web_runtime="ort", strict_verify=True)
    assert caught.value.code == "TP313"
    assert not (tmp_path / "other").exists()


def test_litert_in_node_is_not_verified_and_says_where_it_can_be(modules: Path, tmp_path: Path) -> None:
    report = tp.export(picture(), tmp_path, to=["web"], web_runtime="litert", runners=["node"])
    (runner,) = report.ports[0].runners
    assert (runner.reason, runner.install) == (
        "LiteRT.js does not run in Node",
        "check it in a browser: --in chromium",
    )


def npm_install(web: Path) -> None:
    """What ``npm install`` leaves in a folder, and a file in node_modules that nobody else has."""
    script = web / "node_modules" / "onnxruntime-web" / "dist" / "ort.js"
    script.parent.mkdir(parents=True)
    script.write_text("mine")
    (web / "node_modules" / ".package-lock.json").write_text("{}")
    (web / "package-lock.json").write_text('{"lockfileVersion": 3}')


def pack(out: Path, runtime: str, name: str = "picture") -> tp.Report:
    graph = picture()
    graph.name = name
    return tp.export(graph, out, to=["web"], web_runtime=runtime, verify=False)


@pytest.mark.parametrize("one_step", [True, False])
def test_what_npm_installed_in_a_packed_folder_stays_over_the_next_export(
    one_step: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not one_step:  # as on systems that cannot exchange two folders
        monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: object())
    pack(tmp_path, "ort")
    web = tmp_path / "web"
    npm_install(web)
    (web / "node_modules" / "linked").symlink_to(tmp_path)
    for name in ("picture", "another"):
        report = pack(tmp_path, "ort", name)
        assert (web / "node_modules" / "onnxruntime-web" / "dist" / "ort.js").read_text() == "mine"
        assert (web / "node_modules" / "linked").is_symlink()
        assert (web / "package-lock.json").read_text() == '{"lockfileVersion": 3}'
        assert json.loads((web / "package.json").read_text())["name"] == name
        assert not report.notes
    assert "node_modules" not in (tmp_path / "triport.json").read_text()
    assert tp.verify(tmp_path).passed
    written = sum(file.stat().st_size for file in web.iterdir() if file.is_file() and file.name != "package-lock.json")
    assert tp.inspect(tmp_path).parts[0].bytes == tp.inspect(web).bytes == written
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_a_linked_node_modules_moves_too(tmp_path: Path) -> None:
    pack(tmp_path / "out", "ort")
    (tmp_path / "modules").mkdir()
    link = tmp_path / "out" / "web" / "node_modules"
    link.symlink_to(Path("../../modules"), target_is_directory=True)
    pack(tmp_path / "out", "ort")
    assert link.readlink() == Path("../../modules")
    pack(tmp_path / "out", "triport")
    assert not link.is_symlink()
    assert (tmp_path / "modules").is_dir()


def test_packages_of_another_runtime_go_with_its_folder(tmp_path: Path) -> None:
    pack(tmp_path, "ort")
    npm_install(tmp_path / "web")
    (note,) = pack(tmp_path, "tfjs").notes
    assert note == (
        "web/node_modules holds other packages than the new web/package.json names, and is not kept: "
        "npm install in web/ brings these"
    )
    npm_install(tmp_path / "web")
    assert not pack(tmp_path, "triport").notes
    for name in ("node_modules", "package-lock.json"):
        assert not (tmp_path / "web" / name).exists()


def test_a_failed_export_leaves_what_npm_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack(tmp_path, "ort")
    npm_install(tmp_path / "web")
    monkeypatch.setattr("triport.runtime_checks.report.Report.status", Status.FAILED)
    with monkeypatch.context() as quiet, pytest.raises(RuntimeError, match="failed"):
        quiet.setattr(sys.modules[ExportFailed.__module__], "ExportFailed", lambda *_: RuntimeError("failed"))
        pack(tmp_path, "ort")
    assert (tmp_path / "web" / "node_modules" / ".package-lock.json").exists()
    assert (tmp_path / "web" / "package-lock.json").exists()
    assert not (tmp_path / "failed" / "web" / "node_modules").exists()


def test_other_files_beside_the_packages_are_still_the_users(tmp_path: Path) -> None:
    pack(tmp_path, "ort")
    web = tmp_path / "web"
    npm_install(web)
    (web / "notes.txt").write_text("mine")
    (web / "sub" / "node_modules").mkdir(parents=True)
    (web / "sub" / "node_modules" / "x.js").write_text("mine")
    with pytest.raises(UsageError, match="TP009") as told:
        pack(tmp_path, "ort")
    assert told.value.because == "these are web/notes.txt, web/sub/node_modules/x.js"
    (web / "notes.txt").unlink()
    (web / "sub" / "node_modules" / "x.js").unlink()
    package = json.loads((web / "package.json").read_text())
    package["dependencies"]["left-pad"] = "1.3.0"  # as after: npm install left-pad
    (web / "package.json").write_text(json.dumps(package))
    with pytest.raises(UsageError, match="TP009") as told:
        pack(tmp_path, "ort")
    because = str(told.value.because)
    assert because.startswith("these are web/node_modules/onnxruntime-web/dist/ort.js, web/package-lock.json")
    assert because.endswith(", and web/package.json was changed")
    assert (web / "node_modules").exists()


def test_packages_in_a_bundle_of_our_own_are_the_users(tmp_path: Path) -> None:
    pack(tmp_path, "triport")
    npm_install(tmp_path / "web")
    with pytest.raises(UsageError, match="TP009"):
        pack(tmp_path, "ort")


def test_a_packed_folder_may_be_replaced_by_a_bundle_and_back(tmp_path: Path) -> None:
    for runtime in ("ort", "triport", "tfjs"):
        tp.export(picture(), tmp_path, to=["web"], web_runtime=runtime, verify=False)
    assert (tmp_path / "web" / "model.json").exists()
    assert not (tmp_path / "web" / "plan.json").exists()
