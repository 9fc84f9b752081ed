"""Browser bundles in Node: one process that stays, fed over its stdin."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import IO

from ...exporter.errors import CheckError
from .base import Missing
from .bundle import BundleSession
from .frames import header_length, payload_length

HOST = Path(__file__).parent / "js" / "node.mjs"
OLDEST = 18
"""Node versions before this one have neither fetch nor top-level await in modules as the bundle uses them."""


class Node:
    """Loads bundle folders.

    timeout   seconds one message may take before the process is ended
    """

    name = "node"
    target = "web"

    def __init__(self, *, timeout: float = 300.0) -> None:
        self.timeout = timeout

    def missing(self) -> Missing | None:
        install = "apt-get install nodejs, or https://nodejs.org"
        if shutil.which("node") is None:
            return Missing("Node is not on PATH", install)
        if _major(self.version()) < OLDEST:
            return Missing(f"Node {self.version()} is older than {OLDEST}", install)
        return None

    def version(self) -> str:
        answer = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
        return answer.stdout.strip().removeprefix("v")

    def load(self, artefact: Path) -> BundleSession:
        if missing := self.missing():
            raise missing.error()
        process = NodeProcess(self.timeout)
        return BundleSession(process, "Node", (artefact.resolve() / "index.js").as_uri())


class NodeProcess:
    """The channel to one Node process; see `bundle.Channel`."""

    clock_is_cpu = True

    def __init__(self, timeout: float, *command: str | Path) -> None:
        """command   script and arguments; left out: the host of bundles"""
        self._timeout = timeout
        self._timed_out = False
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            ["node", *map(str, command or (HOST,))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
        )

    def ask(self, message: bytes) -> bytes:
        """The answer to one message; CheckError TP505 when the process ends or hangs."""
        watchdog = threading.Timer(self._timeout, self._give_up)
        watchdog.start()
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(message)
            self._process.stdin.flush()
            prefix = self._read(4)
            header = self._read(header_length(prefix))
            return prefix + header + self._read(payload_length(header))
        except BrokenPipeError as error:
            raise self._ended() from error
        finally:
            watchdog.cancel()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _read(self, count: int) -> bytes:
        assert self._process.stdout is not None
        data = self._process.stdout.read(count)
        if len(data) != count:
            raise self._ended()
        return data

    def _give_up(self) -> None:
        self._timed_out = True
        self._process.kill()

    def _ended(self) -> CheckError:
        if self._timed_out:
            return CheckError("TP505", f"Node did not answer within {self._timeout:g} s")
        self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip()
        return CheckError("TP505", f"Node ended with status {self._process.returncode}", because=said[-500:] or None)


def _major(version: str) -> int:
    head = version.split(".")[0]
    return int(head) if head.isdigit() else 0
