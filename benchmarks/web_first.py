"""How long a page takes until its first answer: navigations to a site that the browser has never seen.

Every navigation is in a profile of its own. The browser runs, and shows a blank page of another site: what it does to
start itself is no part of a page's time. One way measures it along, in browsers that were started for one navigation.
Nobody looks on (web_tabs.py): the page tells the server when its answer stood there.
"""

from __future__ import annotations

import queue
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from web_browser import FIRST, PAGES, Server
from web_link import Link
from web_networks import FOLDER, Net
from web_pages import brotli, brotli_bytes
from web_runtimes import EMPTY, first_page, is_there, stands_in_page
from web_tabs import Tabs

MEGABITS, ROUND_TRIP_MS = 20, 40
SETTLED_S = 1.0
"""From the blank page to the navigation. After 0.3 s the browser still tidies up the last profile, and the same
pages take up to 1.5 times as long."""
ANSWERED_S = 120.0

LINKS = {
    "module": '<link rel="modulepreload" href="{path}">',
    "script": '<link rel="preload" as="script" href="{path}">',
    "fetch": '<link rel="preload" as="fetch" crossorigin href="{path}">',
}
"""{how a page asks for a file: what in its head lets the browser begin with it}"""


@dataclass(frozen=True)
class Way:
    """Where a page comes from, and into what browser.

    named     its head names every file that the same page fetched without that, for each runtime
    held      the runtime's scripts stand in the page, where there is such a page
    slow      over the slow link, the runtimes' files and the page in brotli
    started   into a browser that was started for it
    """

    text: str
    networks: Sequence[str]
    most_rounds: int
    named: bool = False
    held: bool = False
    slow: bool = False
    started: bool = False

    def has(self, net: Net, runtime: str) -> bool:
        return net.name in self.networks and (not self.held or stands_in_page(runtime))


SMALL, LARGE = ("MLP", "LeNet"), "MobileNetV2"
LINK = f"{MEGABITS} Mbit/s, {ROUND_TRIP_MS} ms"
WAYS = (
    Way("this machine", SMALL, 25),
    Way("this machine", (LARGE,), 9),
    Way("this machine, scripts in the page", SMALL, 25, held=True),
    Way("this machine, scripts in the page", (LARGE,), 9, held=True),
    Way("this machine, files named", (*SMALL, LARGE), 7, named=True),
    Way("this machine, browser just started", (*SMALL, LARGE), 3, started=True),
    Way(LINK, SMALL, 3, slow=True),
    Way(LINK, (LARGE,), 2, slow=True),
    Way(f"{LINK}, scripts in the page", SMALL, 3, held=True, slow=True),
    Way(f"{LINK}, files named", SMALL, 3, named=True, slow=True),
)

Key = tuple[str, Way, str]
"""network, way, runtime"""


class Navigations:
    """Opens pages, and keeps what they took and what they fetched.

    taken     {(network, way, runtime): milliseconds of each navigation}
    fetched   {runtime: the files of its last page}
    """

    def __init__(self, server: Server, browser: Tabs, link: Link) -> None:
        self._server, self._browser, self._link = server, browser, link
        self._heads: dict[tuple[str, str], str] = {}
        self._compressed: dict[Path, bytes] = {}
        self.taken: dict[Key, list[float]] = {}
        self.fetched: dict[str, list[Path]] = {}

    def look(self, net: Net, runtime: str) -> None:
        """Opens the page once, for what it asks for; RuntimeError with what it said when it gives no answer."""
        self._server.first = first_page(runtime, net, "")
        self._server.asked.clear()
        self._server.served.clear()
        with self._tab(started=False) as go:
            self._answered(go, self._server.url, net, runtime)
        files = [file for file in self._server.served if not file.is_relative_to(PAGES)]
        self.fetched[runtime] = files
        self._compressed |= {file: brotli(file.read_bytes()) for file in files if _is_runtime(file)}
        asked = {path: kind for path, kind in self._server.asked.items() if path.startswith(("/nets/", "/npm/"))}
        self._heads[net.name, runtime] = "\n".join(LINKS[kind].format(path=path) for path, kind in asked.items())

    def take(self, net: Net, way: Way, runtime: str) -> None:
        server = self._server
        links = self._heads[net.name, runtime] if way.named else ""
        server.first = first_page(runtime, net, links, held=way.held)
        server.compressed = self._compressed | {FIRST: brotli(server.first.encode())} if way.slow else {}
        with self._tab(way.started) as go:
            first = self._answered(go, self._link.url if way.slow else server.url, net, runtime)
        self.taken.setdefault((net.name, way, runtime), []).append(first)

    def _answered(self, go: Callable[[str], None], url: str, net: Net, runtime: str) -> float:
        """Milliseconds from the navigation to the first answer."""
        go(f"{url}/first.html")
        try:
            answer = self._server.answers.get(timeout=ANSWERED_S)
        except queue.Empty:
            raise RuntimeError(f"{net.name} in {runtime}: no answer within {ANSWERED_S:g} s") from None
        try:
            return float(answer)
        except ValueError:
            raise RuntimeError(f"{net.name} in {runtime}: {answer}") from None

    @contextmanager
    def _tab(self, started: bool) -> Iterator[Callable[[str], None]]:
        """A tab that shows a blank page of another site, in a profile of its own; ``started``: so is the browser."""
        browser = Tabs() if started else self._browser
        try:
            with browser.tab(f"{self._server.other_site}/blank.html") as go:
                if not started:
                    time.sleep(SETTLED_S)
                yield go
        finally:
            if started:
                browser.close()


def first_table(server: Server, nets: Sequence[Net], runtimes: Sequence[str], rounds: int) -> str:
    """Least and median of the navigations, ratios of the medians; and what the pages fetched beside the model.

    rounds   of other measurements: of the way that varies most there are up to twice as many
    """
    link = Link(server.port, MEGABITS, ROUND_TRIP_MS)
    browser = Tabs()
    chosen = {net.name: net for net in nets if any(net.name in way.networks for way in WAYS)}
    pages = [(net, runtime) for net in chosen.values() for runtime in (*runtimes, EMPTY) if is_there(net, runtime)]
    try:
        found, shuffled = Navigations(server, browser, link), random.Random(0)
        for net, runtime in pages:
            found.look(net, runtime)
        for done in range(2 * rounds):
            for way in [way for way in WAYS if done < way.most_rounds]:
                order = [(net, runtime) for net, runtime in pages if way.has(net, runtime)]
                shuffled.shuffle(order)  # a page begins while the browser tidies up the one before
                for net, runtime in order:
                    found.take(net, way, runtime)
    finally:
        server.first, server.compressed = "", {}
        browser.close()
        link.close()
    return _times(found.taken, list(chosen), runtimes) + _fetched_table(found.fetched, runtimes)


def _times(taken: dict[Key, list[float]], networks: Sequence[str], runtimes: Sequence[str]) -> str:
    ours, *peers = runtimes
    lines = [f"| network | from | {' | '.join((*runtimes, EMPTY))} | {ours} / best peer |"]
    lines.append("|---|---|" + "---:|" * (len(runtimes) + 2))
    for name, way in [(name, way) for name in networks for way in WAYS if name in way.networks]:
        of = {runtime: taken[name, way, runtime] for runtime in (*runtimes, EMPTY) if (name, way, runtime) in taken}
        medians = {runtime: statistics.median(found) for runtime, found in of.items()}
        texts = {runtime: f"{min(found):.0f} / {medians[runtime]:.0f}" for runtime, found in of.items()}
        cells = " | ".join(texts.get(runtime, "–") for runtime in (*runtimes, EMPTY))
        others = [medians[peer] for peer in peers if peer in medians]
        lines.append(f"| {name} | {way.text} | {cells} | {f'{medians[ours] / min(others):.2f}' if others else '–'} |")
    return "\n".join(lines) + "\n"


def _fetched_table(fetched: dict[str, list[Path]], runtimes: Sequence[str]) -> str:
    """The runtimes' own bytes: everything that came from npm, and of ours the scripts and kernels."""
    lines = ["", "| bytes beside the model | raw | brotli |", "|---|---:|---:|"]
    for runtime in [runtime for runtime in runtimes if runtime in fetched]:
        files = [file for file in dict.fromkeys(fetched[runtime]) if _is_runtime(file)]
        lines.append(f"| {runtime} | {sum(file.stat().st_size for file in files):,} | {brotli_bytes(files):,} |")
    return "\n".join(lines) + "\n"


def _is_runtime(file: Path) -> bool:
    """Whether a page fetches it beside the weights or the model: all of npm, and of ours the scripts and kernels."""
    return not file.is_relative_to(FOLDER) or file.suffix in (".js", ".wasm")
