"""A server on 127.0.0.1 that serves a bundle and, where asked to, some files wrongly."""

from __future__ import annotations

import http.server
import json
import select
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'"


class Fault(Enum):
    """What is wrong with one answer."""

    MISSING = "404"
    SHORT = "half of the file, and a length that says so"
    BROKEN_OFF = "half of the file, then the connection ends"
    CHANGED = "the last byte is another one"
    STALLS = "half of the file, then nothing until the server ends"
    PAGE = "the page that a server for single-page apps gives for every address"


class FaultySite:
    """A folder over http under the strict policy; ``faults[file]`` are used up one per request for the file.

    headers   sent with every answer
    asked     the names of the files, in the order of the requests; pages get them from /asked
    kept      the names of files that browsers may keep for an hour
    left      the names of those that stalled until the client went away; pages get them from /left
    """

    def __init__(self, folder: Path, headers: Mapping[str, str]) -> None:
        self.folder = folder
        self.headers = {"Content-Security-Policy": POLICY, **headers}
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.asked: list[str] = []
        self.kept: set[str] = set()
        self.left: list[str] = []
        self.ended = threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()

    def _handler(self) -> type[http.server.SimpleHTTPRequestHandler]:
        site = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self) -> None:  # the name is http.server's
                name = self.path.split("?")[0].rsplit("/", 1)[1]
                if name in ("asked", "left"):
                    self._answer(None, f"{name}.json", json.dumps(getattr(site, name)).encode())
                    return
                site.asked.append(name)
                file = site.folder / name
                fault = site.faults[name].pop(0) if site.faults[name] else None
                if fault is Fault.MISSING or not file.is_file():
                    self.send_error(404)
                    return
                self._answer(fault, name, file.read_bytes())

            def _answer(self, fault: Fault | None, name: str, data: bytes) -> None:
                half = data[: len(data) // 2]
                if fault is Fault.PAGE:
                    data, name = b"<!doctype html><title>app</title>", "index.html"
                if fault is Fault.SHORT:
                    data = half
                if fault is Fault.CHANGED:
                    data = data[:-1] + bytes((data[-1] ^ 1,))
                self.send_response(200)
                kept = {"Cache-Control": "max-age=3600"} if name in site.kept else {}
                for header, value in (site.headers | kept).items():
                    self.send_header(header, value)
                self.send_header("Content-Type", self.guess_type(name))
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(half if fault in (Fault.BROKEN_OFF, Fault.STALLS) else data)
                if fault is Fault.STALLS:
                    self._wait(name)
                if fault is Fault.BROKEN_OFF:
                    self.close_connection = True

            def _wait(self, name: str) -> None:
                """Until the client has closed the connection, or the site has."""
                while not site.ended.wait(0.02):
                    readable, _, _ = select.select([self.connection], [], [], 0)
                    if readable:  # a client that waits says nothing
                        site.left.append(name)
                        return

            def log_message(self, *_: object) -> None:
                """No talk on stderr."""

        return Handler


@contextmanager
def faulty_site(folder: Path, headers: Mapping[str, str] | None = None) -> Iterator[FaultySite]:
    site = FaultySite(folder, headers or {})
    try:
        yield site
    finally:
        site.close()
