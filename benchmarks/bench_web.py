"""Our browser bundles beside onnxruntime-web, LiteRT.js and TF.js, all in one Chromium.

    make bench-web                                          (installs the npm packages and runs this with --docs)
    .venv/bin/python benchmarks/bench_web.py [--networks MLP,LeNet] [--rounds 9] [--only ours] [--parts speed,int8]

speed     milliseconds of CPU time of the page's main thread for one inference: batch 1, float32, one thread. The
          runtimes have their turns in every round in another order, each a block of calls after one that is not
          counted; least and median over the rounds, ratios of the least. Answers are compared with torch's first: who
          is wrong is named and not measured.
int8      our int8 beside our float32, likewise; an int8 bundle has to pass its own self-test first
bytes     what a page fetches beside weights.bin (ours) or the model (peers)
first     wall milliseconds from the navigation to the first answer, each in a fresh profile
memory    WebAssembly memory after a run of MobileNetV2

The peers' packages come from .npm-bench, or from $TRIPORT_NODE_MODULES. All of them run the files that triport wrote.

    --docs    writes the tables into docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from playwright.sync_api import Browser, Error, sync_playwright
from rich.console import Console
from web_browser import Measured, Server, launched, npm_folder
from web_first import first_table
from web_networks import NETWORKS, ROOT, SMALL, Net, write
from web_pages import bytes_table, memory_table
from web_runtimes import INT8, OURS, PEERS, PLAIN, is_there, page_arguments

DOCS = ROOT / "docs" / "benchmarks.md"
PARTS = ("speed", "int8", "bytes", "first", "memory")

CLOSE = 1e-4
"""Of the output's range: files that lie further apart do not compute the same, and their speed says nothing."""

Times = dict[str, list[float]]
"""{runtime: milliseconds of each round}"""


@dataclass(frozen=True)
class Options:
    networks: Sequence[str]
    rounds: int
    ours: bool
    parts: Sequence[str]
    docs: bool


def opened(page: Measured, runtimes: Sequence[str], net: Net, console: Console) -> list[str]:
    """The runtimes that load the network and answer as torch does."""
    right: list[str] = []
    for runtime in runtimes:
        try:
            answer = np.asarray(page.call("open", *page_arguments(runtime, net)), np.float32)
        except Error as error:
            console.print(f"{net.name}: {runtime} cannot run it: {error.message.splitlines()[0][:200]}", markup=False)
            continue
        wrong = np.abs(answer - net.answer).max() / np.ptp(net.answer) if runtime != INT8 and net.answer.size else 0.0
        if wrong > CLOSE:
            console.print(f"{net.name}: {runtime} answers otherwise, by {wrong:.1e} of the range: not measured")
        else:
            right.append(runtime)
    return right


def times(page: Measured, runtimes: Sequence[str], rounds: int) -> Times:
    """CPU milliseconds of one inference in each round."""
    counts = {runtime: page.warmed(runtime) for runtime in runtimes}
    taken: Times = {runtime: [] for runtime in runtimes}
    order, shuffle = list(runtimes), random.Random(0).shuffle
    for _ in range(rounds):
        shuffle(order)
        for runtime in order:
            taken[runtime].append(page.cpu_ms(runtime, counts[runtime]))
    return taken


def measured(
    browser: Browser, server: Server, runtimes: Sequence[str], net: Net, rounds: int, console: Console
) -> Times:
    page = Measured(browser, server.url)
    try:
        return times(page, opened(page, runtimes, net, console), rounds)
    finally:
        page.close()


def cell(taken: Times, runtime: str) -> str:
    found = taken.get(runtime)
    return f"{_text(min(found))} / {_text(statistics.median(found))}" if found else "–"


def ratio(taken: Times, ours: str, others: Sequence[str]) -> str:
    """Ours by the best of the others, by the least times."""
    there = [min(taken[other]) for other in others if taken.get(other)]
    return f"{min(taken[ours]) / min(there):.2f}" if there and taken.get(ours) else "–"


def speed_table(rows: dict[str, Times]) -> str:
    lines = [
        f"| network | {OURS} | {PLAIN} | {' | '.join(PEERS)} | {OURS} / best peer |",
        "|---|" + "---:|" * (3 + len(PEERS)),
    ]
    for name, taken in rows.items():
        cells = " | ".join(cell(taken, runtime) for runtime in (OURS, PLAIN, *PEERS))
        lines.append(f"| {name} | {cells} | {ratio(taken, OURS, PEERS)} |")
    return "\n".join(lines) + "\n"


def int8_table(rows: dict[str, Times]) -> str:
    lines = ["| network | float32 | int8 | int8 / float32 |", "|---|---:|---:|---:|"]
    for name, taken in rows.items():
        lines.append(f"| {name} | {cell(taken, OURS)} | {cell(taken, INT8)} | {ratio(taken, INT8, [OURS])} |")
    return "\n".join(lines) + "\n"


def run(options: Options, console: Console) -> dict[str, str]:
    """{part: its table}"""
    peers = () if options.ours or npm_folder() is None else PEERS
    if not peers and not options.ours:
        console.print("the peers are not installed: make bench-web, or set TRIPORT_NODE_MODULES")
    small = SMALL if "int8" in options.parts and set(options.networks) == set(NETWORKS) else ()
    nets = {name: write(name, peers=bool(peers) and name in NETWORKS) for name in (*options.networks, *small)}
    tables: dict[str, str] = {}
    server = Server()
    try:
        with sync_playwright() as playwright:
            browser = launched(playwright)
            console.print(f"Chromium {browser.version}")
            page = Measured(browser, server.url)
            page.check_clock()
            page.close()
            rows: dict[str, dict[str, Times]] = {"speed": {}, "int8": {}}
            for name, net in nets.items():
                there = [peer for peer in peers if is_there(net, peer)]
                wanted = {"speed": (OURS, PLAIN, *there), "int8": (OURS, INT8)}
                for part in [part for part in wanted if part in options.parts]:
                    if part == "speed" and name not in NETWORKS:
                        continue
                    rows[part][name] = measured(browser, server, wanted[part], net, options.rounds, console)
                    found = ", ".join(f"{runtime} {cell(rows[part][name], runtime)}" for runtime in rows[part][name])
                    console.print(f"{name}: {found}", markup=False)
            browser.close()
            tables |= {"speed": speed_table(rows["speed"])} if rows["speed"] else {}
            tables |= {"int8": int8_table(rows["int8"])} if rows["int8"] else {}
            chosen = [net for name, net in nets.items() if name in NETWORKS]
            if "bytes" in options.parts:
                tables["bytes"] = bytes_table(chosen)
            if "first" in options.parts:
                tables["first"] = first_table(server, chosen, (OURS, *peers), options.rounds)
            if "memory" in options.parts:
                tables["memory"] = memory_table(playwright, server, chosen, (OURS, *peers))
    finally:
        server.close()
    return tables


def write_docs(tables: dict[str, str]) -> None:
    text = DOCS.read_text()
    for part, table in tables.items():
        start, end = (
            f"<!-- web {part}: written by benchmarks/bench_web.py --docs -->\n",
            f"<!-- end of web {part} -->\n",
        )
        before, _, rest = text.partition(start)
        text = before + start + table + end + rest.partition(end)[2]
    DOCS.write_text(text)


def _text(milliseconds: float) -> str:
    return f"{milliseconds:.{3 if milliseconds < 1 else 2 if milliseconds < 10 else 1}f}"


def _parsed() -> Options:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default=",".join(NETWORKS), metavar="NAMES", help=", ".join((*NETWORKS, *SMALL)))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", choices=["ours"])
    parser.add_argument("--parts", default=",".join(PARTS), metavar="PARTS", help=", ".join(PARTS))
    parser.add_argument("--docs", action="store_true")
    given = parser.parse_args()
    networks, parts = given.networks.split(","), given.parts.split(",")
    for unknown in [name for name in networks if name not in (*NETWORKS, *SMALL)]:
        parser.error(f"no network is called {unknown}; there are {', '.join((*NETWORKS, *SMALL))}")
    for unknown in [part for part in parts if part not in PARTS]:
        parser.error(f"no part is called {unknown}; there are {', '.join(PARTS)}")
    if given.docs and (given.only or networks != list(NETWORKS)):
        parser.error("--docs wants all networks and all runtimes")
    return Options(networks, given.rounds, bool(given.only), parts, given.docs)


def main() -> None:
    options, console = _parsed(), Console(width=180)
    tables = run(options, console)
    for part, table in tables.items():
        console.print(f"\n{part}\n{table}", markup=False, highlight=False)
    if options.docs:
        write_docs(tables)


if __name__ == "__main__":
    main()
