"""The bundle in the hands of a web developer's tools: npm, TypeScript, Vite's build and its development server."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pytest
from npm_packages import installed
from playwright.sync_api import Page
from small_graphs import convnet

import triport as tp
from triport.exporter.reference.run import run_graph
from triport.targets.packed.packings import PACKINGS
from triport.targets.prepare import prepare
from triport.targets.web import WebTarget

TOOLS = {"typescript": "7.0.2", "vite": "8.3.8"}

GRAPH = convnet().describe([f"digit {i}" for i in range(10)], tp.Preprocessing(channels="grey"))
"""Its weights are small enough for Vite to write them into the script; the kernels are files."""

ANSWER = """
const pixels = { data: Uint8Array.from({ length: 256 }, (_, i) => (i * 37) % 256), width: 8, height: 8 };
async function answer(open = load) {
  const model = await open();
  const outputs = await model.run({ image: await fromImage(model, pixels) });
  const best = topK(model, outputs, 1)[0].label;
  const { passed } = await model.selfTest();
  model.dispose();
  return { scores: Array.from(outputs.scores.data), best, passed };
}
"""

PAGE = '<!doctype html><link rel="icon" href="/icon.svg" /><script type="module" src="/main.js"></script>'

MAIN = """
const show = (result) => (document.body.dataset.result = JSON.stringify(result));
const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
worker.onmessage = async ({ data }) => {
  try {
    show({ here: await answer(), worker: data, helper: await answer(loadInWorker) });
  } catch (error) {
    show(`${error}`);
  }
};
worker.onerror = (event) => show(`${event.message}`);
worker.postMessage("go");
"""

WORKER = "onmessage = () => answer().then(postMessage, (error) => postMessage(`${error}`));\n"


def assert_is_answer(result: Any) -> None:
    pixels = ((np.arange(256) * 37) % 256).astype(np.uint8).reshape(8, 8, 4)
    image = tp.Preprocessing.of(GRAPH)(pixels, layout="NCHW")
    expected = np.asarray(run_graph(GRAPH, {"image": image})["scores"][0], np.float32)
    assert isinstance(result, dict), result
    np.testing.assert_allclose(result["scores"], expected, atol=1e-6)
    assert (result["best"], result["passed"]) == (f"digit {expected.argmax()}", True)


def call(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_COLOR": "1", "CI": "1"}
    return subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False, env=environment
    )


@pytest.fixture(scope="module")
def tools() -> Path:
    """The folder of npm's executables: tsc, vite."""
    return installed(TOOLS) / "node_modules" / ".bin"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, tools: Path) -> Path:
    """A fresh project that has the bundle as a package, by `npm pack` and `npm install`, and as the folder web/."""
    bundle = tmp_path_factory.mktemp("bundle")
    target = WebTarget()
    target.write(prepare(GRAPH, target), bundle / "web", {})
    folder = tmp_path_factory.mktemp("project")
    packed = call("npm", "pack", bundle / "web", "--json", cwd=folder)
    assert packed.returncode == 0, packed.stderr
    (archive,) = folder.glob("*.tgz")
    (folder / "package.json").write_text('{"name": "consumer", "private": true, "type": "module"}')
    done = call("npm", "install", "--offline", "--no-audit", "--no-fund", archive, cwd=folder)
    assert done.returncode == 0, done.stderr
    shutil.copytree(bundle / "web", folder / "web")
    (folder / "public").mkdir()
    shutil.copy(bundle / "web" / "icon.svg", folder / "public")
    return folder


def imports(package: str) -> str:
    return "".join(
        f'import {{ {name} }} from "{package}{file}";\n'
        for name, file in (("load", "/index.js"), ("fromImage", "/image.js"), ("topK", "/labels.js"))
    )


@pytest.fixture(scope="module")
def oldest_node() -> Path:
    """The oldest Node that bundles promise to run in."""
    system = {"linux": "linux", "darwin": "darwin", "win32": "win"}[sys.platform]
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine().lower()]
    package = f"node-{system}-{machine}"
    return installed({package: "18.20.8"}) / "node_modules" / package / "bin" / "node"


def test_the_installed_package_runs_in_this_node_and_in_node_18(project: Path, oldest_node: Path) -> None:
    everything = {path.name for path in (project / "web").iterdir()}
    assert {path.name for path in (project / "node_modules" / "convnet").iterdir()} == everything
    source = imports("convnet").replace("convnet/index.js", "convnet") + ANSWER
    (project / "run.js").write_text(source + "console.log(JSON.stringify(await answer()));\n")
    assert call(oldest_node, "--version", cwd=project).stdout == "v18.20.8\n"
    for node in ("node", oldest_node):
        done = call(node, "run.js", cwd=project)
        assert done.returncode == 0, done.stderr
        assert_is_answer(json.loads(done.stdout))


CONSUMER = """
import { load, type Model, type Outputs } from "convnet";
import { fromImage } from "convnet/image.js";
import { topK, type Scored } from "convnet/labels.js";
import { loadInWorker, type WorkerModel } from "convnet/worker.js";

const model: Model = await load({ relaxed: false, onProgress: ({ loaded, total }) => console.log(loaded / total) });
const image = await fromImage(model, new ImageData(8, 8), { resize: "bicubic", mean: [0.5] });
const outputs: Outputs = await model.run({ image });
const first: Scored | undefined = topK(model, outputs, 3, { output: "scores", row: 0 })[0];
const scores: Float32Array = outputs.scores.data;
const classes: 10 = outputs.scores.shape[1];
const name: string | undefined = model.meta.labels?.scores?.[first?.index ?? 0];
await model.run({ image: new Float32Array(64) }, { signal: AbortSignal.timeout(1000) });
const { passed }: { passed: boolean } = await model.selfTest();
console.log(scores, classes, name, passed);
const remote: WorkerModel = await loadInWorker({ type: "module", cache: "convnet" });
await remote.run({ image: new Float32Array(64) }, { transfer: true, checkNaN: true });
topK(remote, await remote.run({ image: await fromImage(remote, new ImageData(8, 8)) }));
declare const triport: { convnet: Pick<typeof import("convnet"), "load"> }; // as docs/web-bundle.md has it
const classic: Model = await triport.convnet.load("web/");
await classic.run({ image: new Float32Array(64) });

// @ts-expect-error: no such option of a classic script's load
await triport.convnet.load({ relax: true });
// @ts-expect-error: no such input
await model.run({ picture: new Float32Array(64) });
// @ts-expect-error: of another dtype
await model.run({ image: new Uint8Array(64) });
// @ts-expect-error: of another shape
await model.run({ image: { data: new Float32Array(64), shape: [1, 8, 8] } });
// @ts-expect-error: an input is missing
await model.run({});
// @ts-expect-error: no such output
outputs.digit;
// @ts-expect-error: no such option
await load({ relax: true });
// @ts-expect-error: no such filter
await fromImage(model, new ImageData(8, 8), { resize: "lanczos" });
// @ts-expect-error: no picture
await fromImage(model, "cat.png");
// @ts-expect-error: not in a worker
remote.runSync({ image: new Float32Array(64) });
// @ts-expect-error: no such kind of worker
await loadInWorker({ type: "shared" });
// @ts-expect-error: no such output
topK(model, outputs, 3, { output: "digit" });
"""


@pytest.mark.parametrize("resolution", ["bundler", "nodenext"])
def test_types_hold_in_strict_typescript_and_wrong_uses_are_refused(
    resolution: str, project: Path, tools: Path
) -> None:
    module = {"bundler": "esnext", "nodenext": "nodenext"}[resolution]
    flags = f"--strict --noEmit --target es2022 --lib es2023,dom --module {module} --moduleResolution {resolution}"
    (project / "consumer.ts").write_text(CONSUMER)
    done = call(tools / "tsc", *flags.split(), "--exactOptionalPropertyTypes", "consumer.ts", cwd=project)
    assert (done.returncode, done.stdout) == (0, "")


PACKED_CONSUMER = """
import { load, type Model } from "./packed/index.js";
import { fromImage } from "./packed/image.js";
import { topK } from "./packed/labels.js";

const model: Model = await load({ checkNaN: true });
const outputs = await model.run({ image: await fromImage(model, new ImageData(8, 8)) });
const name: string | undefined = model.meta.labels?.scores?.[topK(model, outputs)[0]?.index ?? 0];
const layout: string | undefined = model.meta.images?.image?.layout;
console.log(name, layout, outputs.scores.data satisfies Float32Array);
// @ts-expect-error: no such output
model.meta.labels?.digit;
$threads
await load({ threads: 1 });
// @ts-expect-error: not in a packed folder
model.runSync({ image: new Float32Array(64) });
"""


@pytest.mark.parametrize("runtime", PACKINGS)
def test_types_of_a_folder_around_another_runtime_hold_too(runtime: str, tmp_path: Path, tools: Path) -> None:
    tp.export(GRAPH, tmp_path, to=["web"], web_runtime=runtime, verify=False)
    (tmp_path / "web").rename(tmp_path / "packed")
    refused = "" if runtime == "ort" else "// @ts-expect-error: it has one thread"
    (tmp_path / "consumer.ts").write_text(Template(PACKED_CONSUMER).substitute(threads=refused))
    flags = "--strict --noEmit --target es2022 --lib es2023,dom --module esnext --moduleResolution bundler"
    done = call(tools / "tsc", *flags.split(), "consumer.ts", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")


def page_result(page: Page, address: str) -> Any:
    page.goto(address)
    page.wait_for_selector("body[data-result]", state="attached", timeout=60_000)
    return json.loads(page.get_attribute("body", "data-result") or "")


def write_page(project: Path, package: str) -> None:
    (project / "index.html").write_text(PAGE)
    helper = f'import {{ loadInWorker }} from "{package}/worker.js";\n'
    (project / "main.js").write_text(imports(package) + helper + ANSWER + MAIN)
    (project / "worker.js").write_text(imports(package) + ANSWER + WORKER)


@pytest.mark.parametrize("package", ["./web", "convnet"])
def test_a_vite_build_runs_under_the_strict_policy(
    package: str, project: Path, tools: Path, page: Page, serve: Callable[[Path], str]
) -> None:
    write_page(project, package)
    done = call(tools / "vite", "build", "--outDir", "dist", "--emptyOutDir", "--logLevel", "warn", cwd=project)
    assert (done.returncode, done.stderr) == (0, "")
    result = page_result(page, serve(project / "dist") + "/index.html")
    assert_is_answer(result["here"])
    assert_is_answer(result["worker"])
    assert_is_answer(result["helper"])


@pytest.fixture
def vite(project: Path, tools: Path) -> Iterator[Callable[[], str]]:
    """Starts the development server; the function returns its address."""
    started: list[subprocess.Popen[str]] = []

    def start() -> str:
        command = [tools / "vite", "--host", "127.0.0.1", "--port", "0", "--no-open"]
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=project,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "NO_COLOR": "1"},
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if found := re.search(r"http://127\.0\.0\.1:\d+/", line):
                return found[0]
        raise AssertionError(said)

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=30)


@pytest.mark.parametrize("package", ["./web", "convnet"])
def test_vites_development_server_serves_it(package: str, project: Path, vite: Callable[[], str], page: Page) -> None:
    write_page(project, package)
    result = page_result(page, vite())
    assert_is_answer(result["here"])
    assert_is_answer(result["worker"])
    assert_is_answer(result["helper"])
