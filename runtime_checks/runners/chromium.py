"""Browser bundles in headless Chrome, Chromium or Edge.

The bundle is served from 127.0.0.1 under the strict policy that it promises to work with, into a profile made for this
session. The page fetches its work from the same server (js/page.mjs), so nothing but a browser is needed.
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ...exporter.errors import CheckError, EnvironmentError_
from .base import Missing
from .bundle import BundleSession
from .page_server import PageServer

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "microsoft-edge-stable",
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
START_SECONDS = 60.0
"""How long a browser may take to open its first page; on a busy machine with a cold disk it has taken 10."""

# The browser wants its pipes as descriptors 3 and 4; the copies in between are for a pipe that is one of these already.
_LAUNCH = """
import fcntl, os, sys
copies = [fcntl.fcntl(int(end), fcntl.F_DUPFD_CLOEXEC, 10) for end in sys.argv[1:3]]
for wanted, copy in zip((3, 4), copies):
    os.dup2(copy, wanted)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Chromium:
    """Loads bundle folders.

    executable   the browser; None: $CHROME, or the first of the usual names on PATH
    timeout      seconds one message may take; the first also starts the browser
    """

    name = "chromium"
    target = "web"

    def __init__(self, *, executable: str | None = None, timeout: float = 300.0) -> None:
        self.executable = executable
        self.timeout = timeout

    def missing(self) -> Missing | None:
        if self.found() is None:
            what = "no Chrome, Chromium or Edge: neither $CHROME nor PATH has one"
            return Missing(what, "apt-get install chromium, or set CHROME=/path/to/it")
        return None

    def version(self) -> str:
        answer = subprocess.run([self.found() or "", "--version"], capture_output=True, text=True, check=False)
        numbers = [word for word in answer.stdout.split() if word[:1].isdigit()]
        return numbers[0] if numbers else answer.stdout.strip()

    def load(self, artefact: Path) -> BundleSession:
        executable = self.found()
        if executable is None:
            missing = self.missing()
            assert missing is not None
            raise missing.error()
        return BundleSession(BrowserProcess(executable, artefact, self.timeout), "the browser", "bundle/index.js")

    def found(self) -> str | None:
        """The browser that would be started."""
        for name in (self.executable or os.environ.get("CHROME"), *NAMES):
            if name and (found := shutil.which(name)):
                return found
        return None


class BrowserProcess:
    """The channel to one browser with one page; see `bundle.Channel`."""

    clock_is_cpu = False

    def __init__(
        self, executable: str, bundle: Path, timeout: float, modules: Path | None = None, import_map: str = ""
    ) -> None:
        """modules, import_map   a node_modules to serve too, and the map by which the page finds packages in it"""
        self._timeout = timeout
        self._profile = tempfile.TemporaryDirectory(prefix="triport-browser-", ignore_cleanup_errors=True)
        self._server = PageServer(bundle, modules, import_map)
        self._process, self._leash = start_browser(executable, self._profile.name, self._server.page)
        give_up = time.monotonic() + START_SECONDS
        while not self._server.opened.wait(0.2):
            ended = self._process.poll()
            if ended is not None or time.monotonic() > give_up:
                self.close()
                how = f"opened no page within {START_SECONDS:g} s" if ended is None else f"ended with status {ended}"
                raise EnvironmentError_("TP314", f"{executable} {how}")

    def ask(self, message: bytes) -> bytes:
        """The page's answer to one message; CheckError TP505 when the browser ends or hangs."""
        self._server.jobs.put(message)
        give_up = time.monotonic() + self._timeout
        while time.monotonic() < give_up:
            try:
                return self._server.answers.get(timeout=1.0)
            except queue.Empty:
                if self._process.poll() is not None:
                    raise CheckError("TP505", f"the browser ended with status {self._process.returncode}") from None
        raise CheckError("TP505", f"the browser did not answer within {self._timeout:g} s")

    def close(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for end in self._leash:
            os.close(end)
        self._server.close()
        self._profile.cleanup()


def start_browser(executable: str, profile: str, page: str) -> tuple[subprocess.Popen[bytes], tuple[int, int]]:
    """The browser, in a process group of its own, on a leash: pipes that close when this process ends, however it ends.

    ``--remote-debugging-pipe`` makes it read commands from descriptor 3, the first of the pipes, and end with it.
    """
    commands, to_browser = os.pipe()
    from_browser, events = os.pipe()
    command = [executable, *FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}", page]
    process = subprocess.Popen(
        [sys.executable, "-IS", "-c", _LAUNCH, str(commands), str(events), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(commands, events),
        start_new_session=True,
    )
    os.close(commands)
    os.close(events)
    return process, (to_browser, from_browser)
