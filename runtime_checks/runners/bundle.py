"""What the two JavaScript runtimes share: a session that talks to js/host.mjs over a channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from ...exporter.errors import CheckError
from ...exporter.graph import Array, TensorType
from . import frames
from .base import Clock, FreeNames, Session, checked, tensor_type


class Channel(Protocol):
    """Carries one message at a time to a host and its answer back."""

    clock_is_cpu: bool

    def ask(self, message: bytes) -> bytes: ...

    def close(self) -> None: ...


class BundleSession(Session):
    """A browser bundle, loaded in the JavaScript engine at the other end of a channel."""

    def __init__(self, channel: Channel, engine: str, url: str) -> None:
        self._channel = channel
        self._engine = engine
        self.clock = Clock.CPU if channel.clock_is_cpu else Clock.WALL
        try:
            header, _ = self._ask("TP504", {"command": "load", "url": url})
        except BaseException:
            channel.close()
            raise
        self.inputs = _types(header["meta"]["inputs"])
        self.outputs = _types(header["meta"]["outputs"])

    def timed(self, arrays: Mapping[str, Array], repeats: int) -> list[float]:
        header, _ = self._ask("TP505", {"command": "timed", "repeats": repeats}, checked(self.inputs, arrays))
        return [float(seconds) for seconds in header["seconds"]]

    def close(self) -> None:
        self._channel.close()

    def _run(self, arrays: dict[str, Array]) -> dict[str, Array]:
        _, outputs = self._ask("TP505", {"command": "run"}, arrays)
        return {name: outputs[name] for name in self.outputs}

    def run_unchecked(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """`run` without triport's own check, so that the bundle's is the one that answers."""
        return self._run({name: np.asarray(array) for name, array in arrays.items()})

    def _ask(
        self, code: str, header: Mapping[str, Any], arrays: Mapping[str, Array] | None = None
    ) -> tuple[dict[str, Any], dict[str, Array]]:
        answer, outputs = frames.decode(self._channel.ask(frames.encode(header, arrays)))
        if not answer["ok"]:
            what = "refuses the bundle" if code == "TP504" else "failed while running"
            raise CheckError(code, f"{self._engine} {what}", because=answer["error"])
        return answer, outputs


def _types(entries: list[dict[str, Any]]) -> dict[str, TensorType]:
    free = FreeNames()
    return {entry["name"]: tensor_type(entry["dtype"], list(entry["shape"]), free) for entry in entries}
