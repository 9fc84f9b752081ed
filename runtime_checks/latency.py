"""How long one inference takes: one thread, batch 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from ..exporter.graph import Array, Sym
from .parity import fit_inputs
from .runners import Session

REPEATS = 9


@dataclass(frozen=True)
class Latency:
    """Seconds per inference on one thread.

    clock   "cpu": CPU time of the process; "wall": browsers tell no other
    batch   what was run: batch 1, or the label of a case
    """

    median: float
    fastest: float
    clock: str
    batch: str


def measure(session: Session, label: str, inputs: Mapping[str, Array], repeats: int = REPEATS) -> Latency:
    """Runs the inputs over and over, after a warm-up; of inputs whose first axis is free, the first row alone."""
    if all(type.rank and isinstance(type.shape[0], Sym) for type in session.inputs.values()):
        label, inputs = "batch 1", {name: array[:1] for name, array in inputs.items()}
    seconds = session.timed(fit_inputs(session, inputs), repeats)
    return Latency(median(seconds), min(seconds), session.clock.value, label)
