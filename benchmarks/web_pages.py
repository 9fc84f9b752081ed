"""What pages cost that run a network: bytes and memory."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Playwright
from web_browser import Server, launched
from web_networks import FOLDER, Net
from web_runtimes import is_there, page_arguments

SCRIPT, HELD = "index.js", ("kernels.relaxed.wasm", "plan.json")
"""What a page fetches of a bundle, weights.bin apart; and what stands in it."""
MEMORY = "MobileNetV2"
SLACK = 256 * 1024

BROTLI = """
const zlib = require("node:zlib"), fs = require("node:fs");
const { BROTLI_PARAM_QUALITY, BROTLI_PARAM_LGWIN } = zlib.constants;
const params = { [BROTLI_PARAM_QUALITY]: 11, [BROTLI_PARAM_LGWIN]: 24 };
fs.writeFileSync(process.argv[1], zlib.brotliCompressSync(fs.readFileSync(0), { params }));
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


def brotli(content: bytes) -> bytes:
    """It compressed as hard as it goes; kept in build/web/brotli, since much of it takes a minute."""
    kept = FOLDER / "brotli" / hashlib.sha256(content).hexdigest()
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["node", "-e", BROTLI, str(kept)], input=content, check=True)
    return kept.read_bytes()


def brotli_bytes(files: Iterable[Path]) -> int:
    """Bytes of all together, each compressed for itself."""
    return sum(len(brotli(file.read_bytes())) for file in files)


def bytes_table(nets: Sequence[Net]) -> str:
    """What a page fetches beside weights.bin: one script."""
    lines = [f"| network | {SCRIPT} | {' | '.join(f'of it {name}' for name in HELD)} | brotli |", "|---|" + "---:|" * 4]
    for net in nets:
        script, *held = (net.folder / "web" / name for name in (SCRIPT, *HELD))
        sizes = [*(file.stat().st_size for file in (script, *held)), brotli_bytes([script])]
        lines.append(f"| {net.name} | {' | '.join(f'{size:,}' for size in sizes)} |")
    return "\n".join(lines) + "\n"


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
            page.goto(f"{server.url}/measure.html")
            page.wait_for_function("globalThis.bench")
            page.evaluate("(given) => bench.open(...given)", page_arguments(runtime, net))
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
