"""Samples are judged in processes of their own: a runtime that aborts ends one sample, not the sweep."""

from __future__ import annotations

import multiprocessing
import signal
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from sweep.keys import Key
from sweep.outcome import PORTS, Outcome, Verdict

SECONDS = 300.0
"""What one stage of one sample may take before it counts as hung."""


class Worker:
    """A context: one judging process, started when first needed and again after it has ended.

    serve   what the process runs; the tests have others
    """

    def __init__(self, serve: Callable[[Connection], None] | None = None) -> None:
        self._serve = serve or _serve
        self._process: Any = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def judge(self, key: Key, ports: Sequence[str] = PORTS) -> dict[str, Outcome]:
        """The outcome on each port. A process that ends or hangs crashes the port it was at; the rest goes on."""
        pipe = self._started()
        pipe.send((key, ports))
        stage = "capture"
        while pipe.poll(SECONDS):
            try:
                message = pipe.recv()
            except EOFError:
                return self._crashed(key, ports, stage, "the process ended")
            if isinstance(message, str):
                stage = message
            elif isinstance(message, BaseException):
                raise message
            else:
                outcomes: dict[str, Outcome] = message
                return outcomes
        return self._crashed(key, ports, stage, f"no answer within {SECONDS:g} s")

    def _crashed(self, key: Key, ports: Sequence[str], stage: str, what: str) -> dict[str, Outcome]:
        code = self._stop()
        name = signal.Signals(-code).name if code is not None and code < 0 else f"status {code}"
        crash = Outcome(Verdict.CRASHED, f"{what} in {stage} ({name})")
        if stage == "capture":
            return dict.fromkeys(ports, crash)
        rest = [port for port in ports if port != stage]
        return {stage: crash} | (self.judge(key, rest) if rest else {})

    def _started(self) -> Connection:
        if self._pipe is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=self._serve, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()
        return self._pipe

    def _stop(self) -> int | None:
        """Ends the process; the exit status that it ended with by itself."""
        if self._pipe is None:
            return None
        self._pipe.close()
        self._process.join(5)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        code: int | None = self._process.exitcode
        self._pipe = self._process = None
        return code


def _serve(pipe: Connection) -> None:
    """The process: answers (key, ports) with stages as they begin, then with the outcomes."""
    import torch
    from sweep.judge import Judge

    warnings.simplefilter("ignore")  # torch's, about how its own samples call it
    torch.set_num_threads(1)
    judge = Judge()
    while True:
        try:
            key, ports = pipe.recv()
        except EOFError:  # nobody is left to ask
            break
        try:
            pipe.send(judge.judge(key, ports, pipe.send))
        except Exception as error:  # noqa: BLE001 - the machine lacks something: whoever asked has to know
            pipe.send(error)
    judge.close()
