"""What pages cost that run a network: bytes, milliseconds until the first answer, memory."""

from __future__ import annotations

import hashlib
import json
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Page, Playwright
from web_browser import PAGES, Server, fresh_profile, launched
from web_networks import FOLDER, Net

KEPT = ("index.js", "kernels.relaxed.wasm", "plan.json")
"""What a page fetches of a bundle, weights.bin apart."""
FIRST = ("MLP", "LeNet", "MobileNetV2")
"""The networks whose first answer is waited for."""
LINKS: dict[str, dict[str, Any]] = {
    "this machine": {},
    "20 Mbit/s, 40 ms": {
        "offline": False,
        "latency": 40,
        "downloadThroughput": 20e6 / 8,
        "uploadThroughput": 20e6 / 8,
    },
}
"""Where pages load from; Chromium slows the second down."""
EMPTY = "no runtime"
"""A page that fetches the input and answers with it: what every page takes."""
MEMORY = "MobileNetV2"
SLACK = 256 * 1024

BROTLI = """
const zlib = require("node:zlib"), fs = require("node:fs");
const { BROTLI_PARAM_QUALITY, BROTLI_PARAM_LGWIN } = zlib.constants;
const [from, to] = process.argv.slice(1), params = { [BROTLI_PARAM_QUALITY]: 11, [BROTLI_PARAM_LGWIN]: 24 };
fs.writeFileSync(to, zlib.brotliCompressSync(fs.readFileSync(from), { params }));
"""

# Remembers every memory that a WebAssembly module imports or exports.
MEMORIES = """
(() => {
  const memories = new Set();
  const keep = (entries) => Object.values(entries ?? {}).forEach((entry) => {
    if (entry instanceof WebAssembly.Memory) memories.add(entry);
  });
  for (const name of ["instantiate", "instantiateStreaming"]) {
    const original = WebAssembly[name];
    WebAssembly[name] = async (source, imports) => {
      const result = await original.call(WebAssembly, source, imports);
      Object.values(imports ?? {}).forEach(keep);
      keep((result.instance ?? result).exports);
      return result;
    };
  }
  globalThis.memoryBytes = () => [...memories].reduce((sum, memory) => sum + memory.buffer.byteLength, 0);
})();
"""


def brotli(file: Path) -> bytes:
    """The file's content, compressed as hard as it goes; kept in build/web/brotli, since large files take a minute."""
    kept = FOLDER / "brotli" / hashlib.sha256(file.read_bytes()).hexdigest()
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["node", "-e", BROTLI, str(file), str(kept)], check=True)
    return kept.read_bytes()


def brotli_bytes(files: Iterable[Path]) -> int:
    """Bytes of all together, each compressed for itself."""
    return sum(len(brotli(file)) for file in files)


def bytes_table(nets: Sequence[Net]) -> str:
    """What a page fetches beside weights.bin; each file compressed for itself."""
    lines = [f"| network | {' | '.join(KEPT)} | together | brotli |", "|---|" + "---:|" * (len(KEPT) + 2)]
    for net in nets:
        files = [net.folder / "web" / name for name in KEPT]
        sizes = [file.stat().st_size for file in files]
        cells = " | ".join(f"{size:,}" for size in [*sizes, sum(sizes), brotli_bytes(files)])
        lines.append(f"| {net.name} | {cells} |")
    return "\n".join(lines) + "\n"


def first_table(
    playwright: Playwright, server: Server, nets: Sequence[Net], runtimes: Sequence[str], rounds: int
) -> str:
    """Least and median over the rounds, ratios of the medians; and what the pages fetched beside the model."""
    ours, *peers = runtimes
    lines = [f"| network | from | {' | '.join((*runtimes, EMPTY))} | {ours} / best peer |"]
    lines.append("|---|---|" + "---:|" * (len(runtimes) + 2))
    fetched: dict[str, list[Path]] = {}
    compressed: dict[Path, bytes] = {}
    for net in [net for net in nets if net.name in FIRST]:
        there = [runtime for runtime in (*runtimes, EMPTY) if is_there(net, runtime)]
        taken: dict[tuple[str, str], list[float]] = {}
        for _ in range(max(5, rounds)):
            for link, runtime in [(link, runtime) for link in LINKS for runtime in there]:
                with fresh_profile(playwright) as page:
                    if LINKS[link]:
                        page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", LINKS[link])
                    server.served.clear()
                    server.compressed = compressed if LINKS[link] else {}
                    taken.setdefault((link, runtime), []).append(_first(page, server, net, runtime))
                    fetched[runtime] = [file for file in server.served if not file.is_relative_to(PAGES)]
                compressed |= {file: brotli(file) for file in fetched[runtime] if _is_runtime(file)}
        for link in LINKS:
            medians = {runtime: statistics.median(taken[link, runtime]) for runtime in there}
            others = [medians[peer] for peer in peers if peer in medians]
            least = {runtime: min(taken[link, runtime]) for runtime in there}
            texts = {runtime: f"{least[runtime]:.0f} / {medians[runtime]:.0f}" for runtime in there}
            cells = [texts.get(runtime, "–") for runtime in (*runtimes, EMPTY)]
            best = f"{medians[ours] / min(others):.2f}" if others else "–"
            lines.append(f"| {net.name} | {link} | {' | '.join(cells)} | {best} |")
    return "\n".join(lines) + "\n" + _fetched_table(fetched, [runtime for runtime in runtimes if runtime in fetched])


def _fetched_table(fetched: dict[str, list[Path]], runtimes: Sequence[str]) -> str:
    """The runtimes' own bytes: everything that came from npm, and of ours the scripts, the kernels and the plan."""
    lines = ["", "| bytes beside the model | raw | brotli |", "|---|---:|---:|"]
    for runtime in runtimes:
        files = [file for file in dict.fromkeys(fetched[runtime]) if _is_runtime(file)]
        lines.append(f"| {runtime} | {sum(file.stat().st_size for file in files):,} | {brotli_bytes(files):,} |")
    return "\n".join(lines) + "\n"


def _is_runtime(file: Path) -> bool:
    """Whether a page fetches it beside the weights or the model: all of npm, and of ours the scripts, kernels, plan."""
    return not file.is_relative_to(FOLDER) or file.suffix in (".js", ".wasm") or file.name == "plan.json"


def memory_table(playwright: Playwright, server: Server, nets: Sequence[Net], runtimes: Sequence[str]) -> str:
    """WebAssembly memory after a run, beside the weights and the most that is alive at a time."""
    lines = [
        "| network | runtime | memory, bytes | weights | largest live set | bound |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for net in [net for net in nets if net.name == MEMORY]:
        plan = json.loads((net.folder / "web" / "plan.json").read_text())
        weights, live = int(plan["weights"]["bytes"]), largest_live_set(plan)
        browser = launched(playwright)
        for runtime in [runtime for runtime in runtimes if is_there(net, runtime)]:
            page = browser.new_page()
            page.add_init_script(MEMORIES)
            _first(page, server, net, runtime)
            facts = [page.evaluate("memoryBytes()"), weights, live, weights + 11 * live // 10 + SLACK]
            lines.append(f"| {net.name} | {runtime} | {' | '.join(f'{fact:,}' for fact in facts)} |")
            page.close()
        browser.close()
    return "\n".join(lines) + "\n"


def largest_live_set(plan: dict[str, Any], sizes: dict[str, int] | None = None) -> int:
    """Bytes of the buffers alive at once, at the op where they are most; every free dim 1."""
    given = sizes or {}

    class Ones(dict[str, int]):
        def __missing__(self, name: str) -> int:
            return given.get(name, 1)

    # The plan's expressions are Python's own: + - * // % and parentheses over whole numbers and names.
    alive = [(int(eval(str(size), {"__builtins__": {}}, Ones())), first, last) for size, first, last in plan["buffers"]]
    return max(
        sum(size for size, first, last in alive if first <= op <= last) for op in range(-1, len(plan["ops"]) + 1)
    )


def is_there(net: Net, runtime: str) -> bool:
    """Whether a runtime has a file of this network."""
    return runtime != "TF.js wasm" or (net.folder / "tfjs" / "model.json").exists()


def _first(page: Page, server: Server, net: Net, runtime: str) -> float:
    """Milliseconds from the navigation to the first answer; RuntimeError with what the page said if there is none."""
    page.set_default_timeout(120_000)
    page.goto(f"{server.url}/first.html?what={quote(json.dumps({'runtime': runtime, 'net': net.page_facts()}))}")
    first = page.wait_for_function("globalThis.first").json_value()
    if isinstance(first, str):
        raise RuntimeError(f"{net.name} in {runtime}: {first}")
    return float(first)
