"""Graph models in TensorFlow.js, in Node: the packages come from a folder of node_modules that is given."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from .base import Missing
from .bundle import BundleSession, Channel
from .node import Node, NodeProcess

HOST = Path(__file__).parent / "js" / "tfjs.mjs"
PACKAGES = ("tfjs-core", "tfjs-converter", "tfjs-backend-cpu", "tfjs-backend-wasm")
VERSION = "4.22.0"
"""What the target is written for and tested with, the last release."""


class Backend(Enum):
    """Who computes."""

    CPU = "cpu"
    WASM = "wasm"


class Tfjs:
    """Loads folders with a model.json.

    folder    holds node_modules with TensorFlow.js
    timeout   seconds one message may take before the process is ended
    """

    name = "tfjs"
    target = "tfjs"

    def __init__(self, folder: Path, backend: Backend = Backend.WASM, *, timeout: float = 300.0) -> None:
        self.folder = folder.resolve()
        self.backend = backend
        self.timeout = timeout

    def missing(self) -> Missing | None:
        if missing := Node().missing():
            return missing
        lacking = [name for name in PACKAGES if not (self.folder / "node_modules" / "@tensorflow" / name).is_dir()]
        if not lacking:
            return None
        wanted = " ".join(f"@tensorflow/{name}@{VERSION}" for name in lacking)
        return Missing(f"TensorFlow.js is not in {self.folder / 'node_modules'}", f"npm install {wanted}")

    def version(self) -> str:
        return f"{VERSION} ({self.backend.value})"

    def load(self, artefact: Path) -> BundleSession:
        """A session with a process of its own."""
        return _session(self.process(), artefact)

    def process(self) -> NodeProcess:
        """A process for `open_model`; EnvironmentError_ where something is missing."""
        if missing := self.missing():
            raise missing.error()
        return NodeProcess(self.timeout, HOST, self.folder, self.backend.value)


def open_model(process: NodeProcess, artefact: Path) -> BundleSession:
    """A session in a process that stays, and that holds one model: the one before is gone."""
    return _session(_Borrowed(process), artefact)


class _Borrowed:
    """The channel of a process that others go on using."""

    def __init__(self, process: NodeProcess) -> None:
        self.ask = process.ask
        self.clock_is_cpu = process.clock_is_cpu

    def close(self) -> None:
        """Leaves the process as it is."""


def _session(channel: Channel, artefact: Path) -> BundleSession:
    return BundleSession(channel, "TensorFlow.js", f"{artefact.resolve().as_uri()}/")
