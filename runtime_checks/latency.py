"""How long one inference takes: one thread, batch 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from ..exporter.graph import Array
from .parity import fit_inputs
from .runners import Session

REPEATS = 9


@dataclass(frozen=True)
class Latency:
    """Seconds per inference on one thread.

    clock   "cpu": CPU time of the process; "wall": browsers tell no other
    batch   label of the case that was run
    """

    median: float
    fastest: float
    clock: str
    batch: str


def measure(session: Session, label: str, inputs: Mapping[str, Array], repeats: int = REPEATS) -> Latency:
    """Runs the inputs over and over, after a warm-up."""
    seconds = session.timed(fit_inputs(session, inputs), repeats)
    return Latency(median(seconds), min(seconds), session.clock.value, label)
