"""Elementwise chains of the browser bundle: each block with them and without, turn by turn in one Node process.

    python benchmarks/bench_chains.py [--only NAME] [--seconds 4] [--relaxed]

Milliseconds of CPU time of one inference on one thread: the least of thousands, in which the two bundles take turns.
Answers have to be equal bit for bit before anything is measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import torch
from chain_networks import BLOCKS, Block
from rich.console import Console
from rich.table import Table

import triport as tp
from triport.exporter.graph import Graph
from triport.targets.prepare import prepare
from triport.targets.web import WebTarget
from triport.targets.web.target import loaded_files, make_plan, page_files

SCRIPT = """
const models = await Promise.all(SCRIPTS.map(async (script) => (await import(script)).load({ relaxed: RELAXED })));
const feeds = Object.fromEntries(models[0].meta.inputs.map(({ name, shape }, i) => {
  const sizes = shape.map((size) => (typeof size === "number" ? size : 1));
  const data = Float32Array.from({ length: sizes.reduce((a, b) => a * b, 1) }, (_, k) => 3 * Math.sin(k * (i + 1)));
  return [name, { data, shape: sizes }];
}));
const bytes = models.map((model) =>
  Object.values(model.runSync(feeds)).map(({ data }) => Buffer.from(data.buffer).toString("base64")).join());
if (bytes[0] !== bytes[1]) throw new Error("the answers differ");
const counts = models.map((model) => {
  const began = performance.now();
  for (let count = 1; ; count++) {
    model.runSync(feeds);
    if (performance.now() - began > 400) return Math.ceil(count / 200);
  }
});
const best = models.map(() => Infinity);
const until = performance.now() + 1000 * SECONDS;
while (performance.now() < until)
  models.forEach((model, i) => {
    const began = process.cpuUsage();
    for (let count = 0; count < counts[i]; count++) model.runSync(feeds);
    const { user, system } = process.cpuUsage(began);
    best[i] = Math.min(best[i], (user + system) / 1000 / counts[i]);
  });
console.log(JSON.stringify(best));
"""


def graph_of(block: Block) -> Graph:
    torch.manual_seed(0)
    return prepare(tp.capture(block.build().eval(), block.examples()), WebTarget())


def written(graph: Graph, folder: Path, *, chained: bool) -> int:
    """Writes the bundle; the kernel calls that it takes."""
    plan = make_plan(graph, chained=chained)
    folder.mkdir()
    loaded = loaded_files(graph, plan)
    for name, data in (loaded | page_files(graph, plan, loaded)).items():
        (folder / name).write_bytes(data)
    return len(plan.calls)


def measured(block: Block, seconds: float, *, relaxed: bool) -> tuple[list[int], list[int], list[float]]:
    """Calls, bytes of the kernels, and milliseconds: without chains, with them."""
    graph = graph_of(block)
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch) / name for name in ("without", "with")]
        calls = [
            written(graph, folder, chained=chained) for folder, chained in zip(folders, (False, True), strict=True)
        ]
        file = "kernels.relaxed.wasm" if relaxed else "kernels.wasm"
        sizes = [(folder / file).stat().st_size for folder in folders]
        script = SCRIPT.replace("SCRIPTS", json.dumps([(folder / "index.js").as_uri() for folder in folders]))
        script = script.replace("SECONDS", str(seconds)).replace("RELAXED", json.dumps(relaxed))
        flags = ["--experimental-wasm-relaxed-simd"] if relaxed else []
        command = ["node", *flags, "--input-type=module", "--eval", script]
        found = subprocess.run(command, check=True, capture_output=True, text=True)
    return calls, sizes, json.loads(found.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="NAME", help=", ".join(BLOCKS))
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--relaxed", action="store_true", help="the kernels that may fuse multiply and add")
    given = parser.parse_args()
    table = Table("block", "calls", "bytes of kernels", "ms without", "ms with", "ratio")
    for name, block in BLOCKS.items():
        if given.only not in name:
            continue
        calls, sizes, (without, chained) = measured(block, given.seconds, relaxed=given.relaxed)
        cells = [" → ".join(map(str, pair)) for pair in (calls, sizes)]
        table.add_row(name, *cells, f"{without:.3f}", f"{chained:.3f}", f"{chained / without:.2f}")
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
