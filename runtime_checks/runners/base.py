"""What a runner is: something that loads an artefact in its real runtime and runs named arrays.

A runner says first whether it can work on this machine (`missing`), then loads artefacts into sessions. All sessions
check what they are given the same way (`checked`), so that a wrong name, dtype or shape reads the same on every port.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from ...exporter.errors import EnvironmentError_
from ...exporter.graph import Array, Dim, DType, Sym, TensorType, parse_dim
from ...exporter.graph.bind import bind_types

Types = Mapping[str, TensorType]
"""Tensor types by input or output name."""

_WARM_UP_SECONDS = 0.05
_MIN_BLOCK_SECONDS = 0.005


@dataclass(frozen=True)
class Missing:
    """Why a runtime cannot be used here, and the line that installs it."""

    what: str
    install: str

    def error(self) -> EnvironmentError_:
        return EnvironmentError_("TP310", self.what, help=self.install)


class Clock(Enum):
    """What a session's `timed` measures."""

    CPU = "cpu"
    WALL = "wall"


class Session:
    """An artefact loaded in a runtime; closes itself as a context manager.

    inputs    {name: type}; dims that the file leaves free are symbolic
    outputs   {name: type}
    clock     whether `timed` counts CPU time or, where the runtime gives none, wall time
    """

    inputs: Types
    outputs: Types
    clock = Clock.CPU

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs for named arrays; UsageError (TP002, TP003, TP004) when they do not fit the inputs."""
        return self._run(checked(self.inputs, arrays))

    def timed(self, arrays: Mapping[str, Array], repeats: int) -> list[float]:
        """Seconds of one run, measured ``repeats`` times after a warm-up, each the mean over at least 5 ms."""
        ready = checked(self.inputs, arrays)
        start = time.process_time()
        calls = 0
        while not calls or time.process_time() - start < _WARM_UP_SECONDS:
            self._run(ready)
            calls += 1
        block = max(1, math.ceil(_MIN_BLOCK_SECONDS * calls / (time.process_time() - start)))
        measured: list[float] = []
        for _ in range(repeats):
            start, passed, done = time.process_time(), 0.0, 0
            while passed < _MIN_BLOCK_SECONDS:  # the warm-up may have been slower, and a block too short for the clock
                for _ in range(block):
                    self._run(ready)
                done += block
                passed = time.process_time() - start
            measured.append(passed / done)
        return measured

    def _run(self, arrays: dict[str, Array]) -> dict[str, Array]:
        raise NotImplementedError

    def close(self) -> None:
        """Gives back processes and memory; the session cannot be used afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Runner(Protocol):
    """One runtime.

    name      what reports and ``--in`` call it
    target    the port whose artefacts it runs
    """

    name: str
    target: str

    def missing(self) -> Missing | None:
        """Why it cannot run here; None when it can."""

    def version(self) -> str:
        """The runtime's version; only asked where nothing is missing."""

    def load(self, artefact: Path) -> Session:
        """Loads a file or folder; CheckError TP504 when the runtime refuses it."""


def checked(types: Types, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays, contiguous, in the order of ``types``; UsageError with expected and got when one does not fit."""
    plain = {name: np.asarray(array) for name, array in arrays.items()}
    bind_types(types, plain)
    # ascontiguousarray makes a scalar one-dimensional, hence the second step.
    return {name: np.ascontiguousarray(plain[name]).reshape(plain[name].shape) for name in types}


def tensor_type(dtype: str, shape: list[Dim | str | None], free: Callable[[], str]) -> TensorType:
    """A type as a runtime states it.

    dtype    numpy name
    shape    ints, texts such as ``batch`` or ``batch*49``, or None for a free dim without a name
    free     a name for such a dim
    """
    dims: list[Dim] = []
    for dim in shape:
        if isinstance(dim, str):
            dims.append(parse_dim(dim))
        else:
            dims.append(Sym.named(free()) if dim is None else dim)
    return TensorType(DType(dtype), tuple(dims))


class FreeNames:
    """Names for dims that a file leaves free without naming them: any, any1, any2 …"""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self) -> str:
        name = f"any{self._count or ''}"
        self._count += 1
        return name
