"""Writes docs/int8-ops.md: for each op on codes and each runtime, how many of its integers are the reference's.

    python docs/make_int8_ops.py

Takes some minutes: every op case of tests/cases/quantized.py runs in every runtime that is installed, at batch 1, 2 and
7.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from triport.exporter.errors import ModelError
from triport.exporter.graph import Array
from triport.runtime_checks.parity import fit_inputs
from triport.runtime_checks.runners import LiteRT, Node, OnnxRuntime, Runner
from triport.runtime_checks.runners.litert import Kernels
from triport.targets.prepare import prepare
from triport.targets.registry import get_target

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from cases.case import OpCase
from cases.quantized import CASES

PAGE = Path(__file__).with_name("int8-ops.md")
BATCHES = (1, 2, 7)

RUNTIMES: dict[str, Callable[[], Runner]] = {
    "ONNX Runtime": OnnxRuntime,
    "as written, 2 threads": lambda: OnnxRuntime(level="off", threads=2),
    "LiteRT, XNNPACK": LiteRT,
    "2 threads": lambda: LiteRT(threads=2),
    "without XNNPACK": lambda: LiteRT(kernels=Kernels.PLAIN),
    "reference kernels": lambda: LiteRT(kernels=Kernels.REFERENCE),
    "browser bundle (Node)": Node,
}
"""Heading of a column → what runs there; those after the first of a runtime are settings of it."""

INTRODUCTION = """\
# Integers, op by op

Every op case on int8 codes (`tests/cases/quantized.py`: plain and awkward graphs of one op each) in every runtime, at
batch 1, 2 and 7, against the reference. **✓**: every result has the same bits. Elsewhere: how many of how many differ,
and by how much at most. [int8.md](int8.md) says what is promised, and why the runtimes differ where they do.

This page is generated: `python docs/make_int8_ops.py`.
"""


@dataclass
class Cell:
    """Results of one op in one runtime."""

    cells: int = 0
    differ: int = 0
    steps: float = 0.0
    refused: int = 0

    def add(self, got: Array, want: Array) -> None:
        if (got.shape, got.dtype) != (want.shape, want.dtype):
            raise AssertionError(f"{got.dtype}{got.shape} for {want.dtype}{want.shape}")
        differ = got != want
        self.cells += want.size
        self.differ += int(differ.sum())
        if differ.any():
            self.steps = max(self.steps, float(np.abs(got.astype(np.float64) - want.astype(np.float64)).max()))

    def render(self) -> str:
        refused = f"{self.refused} refused" if self.refused else ""
        if not self.cells:
            return refused
        found = f"{self.differ:,} of {self.cells:,}, {self.steps:.3g}" if self.differ else "✓"
        return f"{found}; {refused}" if refused else found


def render(cases: Sequence[OpCase] = CASES) -> str:
    """The page."""
    runners = {heading: make() for heading, make in RUNTIMES.items()}
    installed = {heading: runner for heading, runner in runners.items() if runner.missing() is None}
    table: dict[str, dict[str, Cell]] = {}
    for case in cases:
        row = table.setdefault(case.op.label(), {heading: Cell() for heading in installed})
        for port in dict.fromkeys(runner.target for runner in installed.values()):
            _run(case, port, {h: r for h, r in installed.items() if r.target == port}, row)
    versions = ", ".join(dict.fromkeys(f"{r.name.split('-')[0]} {r.version()}" for r in installed.values()))
    lines = [
        f"{len(cases)} cases. Run with {versions}.",
        "",
        "| op | " + " | ".join(installed) + " |",
        "|---" * (1 + len(installed)) + "|",
        *(f"| {name} | " + " | ".join(cell.render() for cell in row.values()) + " |" for name, row in table.items()),
    ]
    return "\n".join([INTRODUCTION, *lines, ""])


def _run(case: OpCase, port: str, runners: dict[str, Runner], row: dict[str, Cell]) -> None:
    graph, target = case.graph(), get_target(port)
    try:
        prepared = prepare(graph, target)
    except ModelError:
        for heading in runners:
            row[heading].refused += 1
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / target.artefact
        target.write(prepared, path, {})
        for heading, runner in runners.items():
            with runner.load(path) as session:
                for batch in BATCHES:
                    inputs = case.inputs(batch)
                    got = session.run(fit_inputs(session, inputs))
                    for name, want in graph.run(inputs).items():
                        row[heading].add(got[name], want)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
