"""The bundle as files: the same bytes each time, typed declarations, an npm package, and what is refused beforehand."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_graphs import perceptron
from web_networks import NETWORKS

from triport.exporter import ops
from triport.exporter.capture import capture
from triport.exporter.errors import ModelError
from triport.exporter.graph import DType, Graph, Recipe, Sample, Sym, TensorType
from triport.exporter.graph.file import save_graph
from triport.targets.prepare import prepare
from triport.targets.web import WebTarget
from triport.targets.web.bundle import COMPILED, ENTRIES
from triport.targets.web.minify import minified

BATCH = Sym.named("batch")
Write = Callable[[Graph], Path]

FILES = {
    "bundle.iife.js",
    "cache.js",
    "demo.css",
    "demo.js",
    "golden.bin",
    "golden.js",
    "icon.svg",
    "index.d.ts",
    "index.html",
    "index.iife.js",
    "index.js",
    "kernels.relaxed.wasm",
    "kernels.wasm",
    "labels.d.ts",
    "labels.js",
    "node.js",
    "package.json",
    "plan.json",
    "threads-worker.js",
    "threads.js",
    "weights.bin",
    "weights.js",
    "worker-classic.js",
    "worker-module.js",
    "worker.d.ts",
    "worker.js",
}

EXPORT = """
import sys
from pathlib import Path
from triport.exporter.graph import Graph
from triport.targets.prepare import prepare
from triport.targets.web import WebTarget
target = WebTarget()
target.write(prepare(Graph.load(sys.argv[1]), target), Path(sys.argv[2]), {"b": 1, "a": [2]})
"""


def network() -> Graph:
    graph = Graph("Ünusual <name> 1")
    rng = np.random.default_rng(1)
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 6)))
    index = graph.add_input("word index", TensorType(DType.INT64, (BATCH,)))
    weight = graph.add_constant(rng.standard_normal((4, 6)).astype(np.float32))
    table = graph.add_constant(rng.standard_normal((9, 4)).astype(np.float32))
    y = graph.add(ops.Add(), graph.add(ops.Linear(), x, weight), graph.add(ops.Gather(0), table, index))
    graph.set_output("y", y)
    recipes = {"x": Recipe(DType.FLOAT32, (2, 6), 5, 0.0, 1.0), "word index": Recipe(DType.INT64, (2,), 6, 0, 8)}
    graph.samples = [Sample({}, {"y": np.zeros((2, 4), np.float32)}, recipes)]
    return graph


def sums(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    save_graph(network(), tmp_path / "m.triport")
    written = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        command = [sys.executable, "-c", EXPORT, str(tmp_path / "m.triport"), str(folder)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed})
        written.append(sums(folder))
    assert written[0] == written[1]
    assert written[0].keys() == FILES | {"triport.json"}


def test_declarations_name_every_input_with_its_array_and_shape(bundle: Write) -> None:
    text = (bundle(network()) / "index.d.ts").read_text()
    assert '"x": Feed<Float32Array, readonly [number, 6]>;' in text
    assert '"word index": Feed<Int32Array, readonly [number]>;' in text
    assert '"y": Tensor<Float32Array, readonly [number, 4]>;' in text


def test_folder_is_an_npm_package(bundle: Write) -> None:
    folder = bundle(network())
    assert {path.name for path in folder.iterdir()} == FILES
    package = json.loads((folder / "package.json").read_text())
    assert package["name"] == "nusual-name-1"
    assert package["exports"]["."] == {"types": "./index.d.ts", "default": "./index.js"}


def test_bundlers_keep_the_scripts_that_do_something_when_they_are_imported(bundle: Write) -> None:
    folder = bundle(network())
    package = json.loads((folder / "package.json").read_text())
    workers = {"threads-worker.js", "worker-classic.js", "worker-module.js"}
    scripts = {"bundle.iife.js", "demo.js", "index.iife.js"}
    assert {Path(file).name for file in package["sideEffects"]} == scripts | workers


def test_names_are_escaped_in_the_page(bundle: Write) -> None:
    page = (bundle(network()) / "index.html").read_text("utf-8")
    assert "<title>Ünusual &lt;name> 1</title>" in page


def test_scripts_import_nothing_before_it_is_needed(bundle: Write) -> None:
    folder = bundle(network())
    for script in folder.glob("*.js"):
        lines = script.read_text("utf-8").splitlines()
        imports = [line for line in lines if line.startswith("import ")]
        # A module worker has a life of its own.
        assert imports == (['import { load } from "./index.js";'] if script.name == "worker-module.js" else []), script
    assert len((COMPILED / "index.js").read_bytes()) < 12_000


BROTLI = """
const { brotliCompressSync, constants } = require("node:zlib");
const params = { [constants.BROTLI_PARAM_QUALITY]: 11 };
const packed = (file) => brotliCompressSync(require("node:fs").readFileSync(file), { params }).length;
console.log(packed(process.argv[1]));
"""


@pytest.mark.parametrize("name", ["MLP", "LeNet"])
def test_a_page_fetches_less_than_8_kilobytes_beside_the_weights_of_a_small_network(bundle: Write, name: str) -> None:
    network = NETWORKS[name]
    folder = bundle(capture(network.made(), network.example(), name=name))
    told = subprocess.run(["node", "-e", BROTLI, str(folder / "index.js")], capture_output=True, text=True, check=True)
    assert int(told.stdout) < 8_000


def test_engines_are_told_first_that_scripts_of_a_model_are_needed_at_once(bundle: Write) -> None:
    """They read no further than the first line of code."""
    folder = bundle(network())
    for script in ("index.js", "index.iife.js", "bundle.iife.js"):
        assert (folder / script).read_bytes().startswith(b"//# allFunctionsCalledOnLoad\n")


def test_the_script_holds_plan_and_kernels_in_ascii(bundle: Write) -> None:
    """Browsers read scripts in the charset that the server names."""
    folder = bundle(network())
    texts = (folder / "index.js").read_text("ascii").rpartition("const PLAN=")[2]
    plan, _, kernels = texts.partition(",KERNELS=")
    assert plan.strip("'").replace(r"\\", "\\") == (folder / "plan.json").read_text()
    assert bytes.fromhex(kernels.strip("';\n")) == (folder / "kernels.relaxed.wasm").read_bytes()


@pytest.mark.parametrize("script", ENTRIES)
def test_the_committed_scripts_are_what_the_sources_make(script: str) -> None:
    assert (COMPILED / script).read_text("utf-8") == minified(script), "run: make scripts"


def test_only_the_kernels_that_the_plan_calls_ship(bundle: Write) -> None:
    folder = bundle(network())
    kernels = {op[0] for op in json.loads((folder / "plan.json").read_text())["ops"]}
    assert kernels == {"add", "gather", "gemm"}
    wasm = (folder / "kernels.wasm").read_bytes()
    assert b"gather" in wasm and b"conv2d" not in wasm


def test_an_elementwise_chain_runs_in_one_buffer(bundle: Write) -> None:
    graph = Graph("chain")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 6)))
    graph.set_output("y", graph.add(ops.Cos(), graph.add(ops.Exp(), graph.add(ops.Sin(), x))))
    plan = json.loads((bundle(graph) / "plan.json").read_text())
    assert [op[1:3] for op in plan["ops"]] == [["@0", "@0"]] * 3


def test_an_operand_that_is_read_again_is_not_written_over(bundle: Write) -> None:
    graph = Graph("residual")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 6)))
    squashed = graph.add(ops.Sin(), graph.add(ops.Reshape((BATCH, 2, 3)), x))
    graph.set_output("y", graph.add(ops.Mul(), graph.add(ops.Reshape((BATCH, 6)), squashed), x))
    plan = json.loads((bundle(graph) / "plan.json").read_text())
    assert plan["ops"][0][1:3] == ["@1", "@0"]


def test_float64_is_refused() -> None:
    graph = Graph("wide")
    graph.set_output("y", graph.add(ops.Exp(), graph.add_input("x", TensorType(DType.FLOAT64, (BATCH, 4)))))
    with pytest.raises(ModelError, match="float64 values do not exist") as refused:
        prepare(graph, WebTarget())
    assert refused.value.code == "TP105"


def test_integers_beyond_32_bits_are_refused(bundle: Write) -> None:
    graph = Graph("large")
    x = graph.add_input("x", TensorType(DType.INT64, (BATCH,)))
    graph.set_output("y", graph.add(ops.Add(), x, graph.add_constant(np.array(2**40), "offset")))
    with pytest.raises(ModelError, match='constant "offset" holds integers beyond 32 bits') as refused:
        bundle(graph)
    assert refused.value.code == "TP105"


LOAD = (
    "import {{ load }} from '{index}'; const tell = (text) => console.log(text.split(' at ')[0]); "
    "load({given}).then((m) => tell(m.meta.name), (e) => tell(e.message))"
)


def test_a_text_given_to_load_is_the_folder_of_the_files(bundle: Write) -> None:
    folder = bundle(perceptron())
    for given, told in (
        (f"'{folder.as_uri()}'", "perceptron"),
        (f"'{folder.as_uri()}/nope'", "kernels.wasm: no such file"),
    ):
        script = LOAD.format(index=folder / "index.js", given=given)
        command = ["node", "--input-type=module", "-e", script]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == told
