"""The little server behind the browser runner: the page, the bundle, and a mailbox for messages."""

from __future__ import annotations

import base64
import hashlib
import queue
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGE = Path(__file__).resolve().parent / "js"
POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'"
POLL_SECONDS = 10.0

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
}


class PageServer:
    """Serves one bundle on 127.0.0.1, under a path that nobody else on the machine can guess.

    page      address to open
    jobs      messages for the page
    answers   messages from the page
    opened    set once the page runs and asks for its first message
    policy    what the page may do: an import map stands in the page itself, so that its hash is allowed
    """

    def __init__(self, bundle: Path, modules: Path | None = None, import_map: str = "") -> None:
        """modules, import_map   a node_modules to serve as modules/, and the import map of the page"""
        self._roots = {"bundle": bundle.resolve()} | ({"modules": modules.resolve()} if modules else {})
        self._map = import_map
        digest = base64.b64encode(hashlib.sha256(import_map.encode()).digest()).decode()
        self.policy = POLICY.replace("'wasm", f"'sha256-{digest}' 'wasm") if import_map else POLICY
        self.jobs: queue.Queue[bytes | None] = queue.Queue()
        self.answers: queue.Queue[bytes] = queue.Queue()
        self.opened = threading.Event()
        self.closed = False
        self.prefix = f"/{secrets.token_urlsafe(16)}/"
        self._http = _Http(self)
        self.page = f"http://127.0.0.1:{self._http.server_address[1]}{self.prefix}page.html"
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()

    def content(self, path: str) -> tuple[bytes, str] | None:
        """What a path below the prefix stands for, and the suffix that says its type; None when there is nothing."""
        file = self.file(path)
        if file is None:
            return None
        data = file.read_bytes()
        if self._map and path == "page.html":
            found = f'<script type="importmap">{self._map}</script>\n<script type="module"'.encode()
            data = data.replace(b'<script type="module"', found, 1)
        return data, file.suffix

    def file(self, path: str) -> Path | None:
        """The file behind a path below the prefix; None when there is none or it lies outside the folders served."""
        first, _, rest = path.partition("/")
        root, name = (self._roots[first], rest) if first in self._roots else (PAGE, path)
        found = (root / name).resolve()
        return found if found.is_relative_to(root) and found.is_file() else None

    def next_job(self) -> bytes | None:
        """The next message for the page; None when none came for a while."""
        self.opened.set()
        try:
            return self.jobs.get(timeout=POLL_SECONDS)
        except queue.Empty:
            return None

    def close(self) -> None:
        self.closed = True
        self.jobs.put(None)
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, mailbox: PageServer) -> None:
        self.mailbox = mailbox
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that is ended in mid-request is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: _Http

    def do_GET(self) -> None:
        mailbox = self.server.mailbox
        path = self.path.split("?")[0]
        if not path.startswith(mailbox.prefix):
            self._answer(404, b"", "text/plain")
        elif path == f"{mailbox.prefix}next":
            job = mailbox.next_job()
            status = 410 if mailbox.closed else 200 if job is not None else 204
            self._answer(status, job or b"", "application/octet-stream")
        elif content := mailbox.content(path.removeprefix(mailbox.prefix)):
            self._answer(200, content[0], _TYPES.get(content[1], "application/octet-stream"))
        else:
            self._answer(404, b"", "text/plain")

    def do_POST(self) -> None:
        mailbox = self.server.mailbox
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path == f"{mailbox.prefix}done":
            mailbox.answers.put(body)
            self._answer(200, b"", "text/plain")
        else:
            self._answer(404, b"", "text/plain")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", self.server.mailbox.policy)
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""
