"""What ``fit`` shows: a bar that moves (verbose 1), a line an epoch (verbose 2), nothing (verbose 0)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

REFRESH_SECONDS = 0.25


def resolve(verbose: int | str | bool) -> int:
    """``"auto"`` is a bar on a terminal and lines elsewhere."""
    if verbose == "auto":
        return 1 if sys.stderr.isatty() else 2
    return int(verbose)


def figures(logs: dict[str, float]) -> str:
    """``loss 0.1234  accuracy 0.9876``."""
    return "  ".join(
        f"{name} {value:.4g}" if abs(value) >= 1e4 else f"{name} {value:.4f}" for name, value in logs.items()
    )


class Progress:
    """The display of one run over ``epochs``; use as a context."""

    def __init__(self, verbose: int, epochs: int, samples: int | None, label: str = "Epoch") -> None:
        self.verbose, self.epochs, self.samples, self.label = verbose, epochs, samples, label
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None
        self._started = self._shown = self._done = 0.0
        self._title = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def begin(self, epoch: int) -> None:
        """An epoch (counted from 0) starts."""
        self._started = self._shown = time.perf_counter()
        self._done = 0
        self._title = f"{self.label} {epoch + 1}/{self.epochs}" if self.epochs else self.label
        if self.verbose == 1:
            self._bar = _rich_bar()
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=self.samples, figures="", speed="")

    def advance(self, samples: int, logs: Callable[[], dict[str, float]]) -> None:
        """``samples`` more are done; ``logs()`` is only asked for when the bar is redrawn, four times a second."""
        if self._bar is None or self._task is None:
            return
        self._done += samples
        now = time.perf_counter()
        if now - self._shown < REFRESH_SECONDS:
            return
        self._shown = now
        speed = f"{self._done / (now - self._started):,.0f} samples/s"
        self._bar.update(self._task, completed=self._done, figures=figures(logs()), speed=speed, refresh=True)

    def end(self, logs: dict[str, float]) -> None:
        """The epoch is over: the bar goes, a line with all figures stays."""
        seconds = time.perf_counter() - self._started
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self.verbose:
            speed = f" - {self._done / max(seconds, 1e-9):,.0f} samples/s" if self.verbose == 1 else ""
            sys.stderr.write(f"{self._title} - {seconds:.1f}s{speed} - {figures(logs)}\n")
            sys.stderr.flush()


def _rich_bar() -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("{task.fields[figures]}"),
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
    )
