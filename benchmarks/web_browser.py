"""A Chromium that counts CPU time, and the little server its pages come from."""

from __future__ import annotations

import http.server
import os
import queue
import shutil
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, Playwright
from web_networks import FOLDER, ROOT

from triport.runtime_checks.runners.chromium import FLAGS, NAMES

PAGES = Path(__file__).resolve().parent / "web_page"
FIRST = PAGES / "first.html"
KINDS = {"script cors": "module", "script no-cors": "script", "empty cors": "fetch"}
"""{what a browser says of a request: what asked}"""
RELOADED_MS = 600_000
CLOCK_MS = 300
WARM_MS, BLOCK_MS = 800, 150
"""For how long a page runs a network before it is measured, and in each round, about."""


def npm_folder() -> Path | None:
    """The folder with the peers' packages: $TRIPORT_NODE_MODULES, else what `make bench-web` installed."""
    given = os.environ.get("TRIPORT_NODE_MODULES")
    folder = Path(given) if given else ROOT / ".npm-bench" / "node_modules"
    return folder if folder.is_dir() else None


class Server:
    """Serves the benchmark's pages, build/web as /nets and the npm packages as /npm, on 127.0.0.1.

    served       the files asked for, in order; cleared by the caller
    asked        {path: "module", "script" or "fetch"}: how pages asked for it; cleared by the caller
    compressed   {file: its bytes in brotli}, which are sent instead
    first        the text of /first.html
    answers      what pages posted to /answer
    folders      further ones: {first part of their paths: folder}
    """

    def __init__(self, folders: Mapping[str, Path] | None = None) -> None:
        self.served: list[Path] = []
        self.asked: dict[str, str] = {}
        self.compressed: dict[Path, bytes] = {}
        self.first = ""
        self._contents: dict[Path, bytes] = {}
        self.answers: queue.Queue[str] = queue.Queue()
        self._roots = {"nets": FOLDER, "npm": npm_folder() or PAGES, **(folders or {})}
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.port = self._http.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self.other_site = f"http://localhost:{self.port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def content(self, file: Path) -> bytes:
        """What stands in a file, read once: the server's own time is no runtime's."""
        if file not in self._contents:
            self._contents[file] = file.read_bytes()
        return self._contents[file]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _handler(self) -> type[http.server.SimpleHTTPRequestHandler]:
        server = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # a large body is a write behind the headers', and waited up to 40 ms
            wbufsize = 1 << 16
            extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
                ".mjs": "text/javascript",
                ".wasm": "application/wasm",
            }

            def handle(self) -> None:
                with suppress(ConnectionError):  # a tab that is closed takes no more
                    super().handle()

            def finish(self) -> None:
                with suppress(ConnectionError):  # likewise, of what is still to be sent
                    super().finish()

            def translate_path(self, path: str) -> str:
                first, _, rest = path.split("?")[0].lstrip("/").partition("/")
                file = server._roots[first] / rest if first in server._roots else PAGES / first
                if file.is_file():
                    server.served.append(file)
                return str(file)

            def do_GET(self) -> None:
                file = Path(self.translate_path(self.path))
                kind = f"{self.headers['Sec-Fetch-Dest']} {self.headers['Sec-Fetch-Mode']}"
                if kind in KINDS:
                    server.asked[self.path] = KINDS[kind]
                if file in server.compressed:
                    self.answer(file, server.compressed[file], ("Content-Encoding", "br"))
                elif file == FIRST:
                    self.answer(file, server.first.encode())
                elif file.is_file():
                    self.answer(file, server.content(file))
                else:
                    self.send_error(404)

            def do_POST(self) -> None:
                server.answers.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.send_response(204)
                self.end_headers()

            def answer(self, file: Path, content: bytes, *headers: tuple[str, str]) -> None:
                self.send_response(200)
                length = ("Content-Length", str(len(content)))
                for name, value in (("Content-Type", self.guess_type(str(file))), length, *headers):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """No talk on stderr."""

        return Handler


def executable() -> str:
    """The browser: $CHROME, or the first of the usual names on PATH."""
    found = os.environ.get("CHROME") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise SystemExit("no Chrome, Chromium or Edge: apt-get install chromium, or set CHROME=/path/to/it")
    return found


def launched(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=executable(), args=list(FLAGS))


class Measured:
    """A page whose main thread's CPU time is counted."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.page: Page = browser.new_page()
        self.page.set_default_timeout(RELOADED_MS)
        self.page.goto(f"{url}/measure.html")
        self.page.wait_for_function("globalThis.bench")
        self._session: CDPSession = self.page.context.new_cdp_session(self.page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def call(self, name: str, *arguments: Any) -> Any:
        return self.page.evaluate("([name, given]) => bench[name](...given)", [name, list(arguments)])

    def cpu_seconds(self) -> float:
        """CPU time of the page's main thread so far, by the thread's own clock."""
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        return float(next(metric["value"] for metric in metrics if metric["name"] == "ThreadTime"))

    def cpu_ms(self, runtime: str, count: int) -> float:
        """CPU milliseconds of one of so many inferences."""
        self.call("times", runtime, 1)
        start = self.cpu_seconds()
        self.call("times", runtime, count)
        return (self.cpu_seconds() - start) * 1e3 / count

    def warmed(self, runtime: str) -> int:
        """How many inferences fill a round, once engines have compiled what they compile while it runs."""
        self.call("warm", runtime, WARM_MS)
        return max(1, int(self.call("warm", runtime, BLOCK_MS)))

    def check_clock(self) -> None:
        """RuntimeError unless the clock counts what the thread computes, and not the time that passes."""
        taken = {}
        for what in ("busy", "idle"):
            start = self.cpu_seconds()
            self.call(what, CLOCK_MS)
            taken[what] = (self.cpu_seconds() - start) * 1e3
        if not taken["idle"] < CLOCK_MS / 10 < taken["busy"] < CLOCK_MS * 1.1:
            raise RuntimeError(f"{CLOCK_MS} ms of work and of waiting take {taken} of this browser's clock")

    def close(self) -> None:
        self.page.close()
