"""A Chromium that is told by a pipe where to go, and is left alone otherwise.

A driver that watches a page makes the browser report every request and script of it, which takes a third of the time
until a small page has answered. Here pages tell the server themselves what they found.
"""

from __future__ import annotations

import json
import os
import select
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from web_browser import executable

from triport.runtime_checks.runners.chromium import start_browser

ANSWER_S = 60.0


class Tabs:
    """A browser whose tabs each have a profile of their own, which ends with them."""

    def __init__(self) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="triport-bench-", ignore_cleanup_errors=True)
        self._process, (self._commands, self._events) = start_browser(executable(), self._profile.name, "about:blank")
        self._said, self._count = b"", 0

    def close(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for end in (self._commands, self._events):
            os.close(end)
        self._profile.cleanup()

    @contextmanager
    def tab(self, url: str) -> Iterator[Callable[[str], None]]:
        """Opens ``url``; what is given navigates the tab and does not wait for the page."""
        profile = self._send("Target.createBrowserContext")["browserContextId"]
        try:
            target = self._send("Target.createTarget", url=url, browserContextId=profile)["targetId"]
            session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            yield lambda url: self._write("Page.navigate", session, url=url)
        finally:
            with suppress(OSError, RuntimeError):  # what ended the browser is the error
                self._send("Target.disposeBrowserContext", browserContextId=profile)

    def _write(self, method: str, session: str | None = None, **parameters: Any) -> None:
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        os.write(self._commands, json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command's result; RuntimeError when the browser refuses it, ends, or does not answer."""
        self._write(method, **parameters)
        wanted, give_up = self._count, time.monotonic() + ANSWER_S
        while True:
            while b"\0" in self._said:
                message, _, self._said = self._said.partition(b"\0")
                told = json.loads(message)
                if told.get("id") == wanted:
                    if "error" in told:
                        raise RuntimeError(f"{method}: {told['error']['message']}")
                    return dict(told["result"])
            if not select.select([self._events], [], [], max(0.0, give_up - time.monotonic()))[0]:
                raise RuntimeError(f"{method}: the browser did not answer within {ANSWER_S:g} s")
            said = os.read(self._events, 1 << 16)
            if not said:
                raise RuntimeError(f"{method}: the browser ended")
            self._said += said
