"""Writes docs/op-matrix.md, which op reaches which port and how, from the op cases of the tests.

    python docs/make_op_matrix.py

Every case is put through each port's passes, as an export would, and the page says what was left to write.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from triport.exporter.errors import ModelError
from triport.exporter.ops import REGISTRY, Transpose
from triport.targets.prepare import prepare
from triport.targets.registry import TARGET_NAMES, get_target
from triport.targets.target import Target
from triport.targets.tfjs import TfjsTarget

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from cases import CASES
from cases.case import OpCase

PAGE = Path(__file__).with_name("op-matrix.md")

PORTS: dict[str, Target] = {**{name: get_target(name) for name in TARGET_NAMES}, "graph model": TfjsTarget()}

INTRODUCTION = """\
# Ops and ports

How each op of the portable graph ([ops.md](ops.md)) reaches each port. The page is read off the op cases of the tests:
small graphs of one op each, plain and awkward, all of which run on every port in its real runtime at batch 1, 2 and 7
and are compared with the float64 reference (`pytest tests/test_op_cases.py`). The last column is the graph model for
TensorFlow.js ([tfjs.md](tfjs.md)).

* **✓**: the port writes the op itself
* **→ ops**: the port writes these instead; a transpose that only hands a lone op its layout is not counted
* **✓ / → ops**: itself where the port can, these otherwise
* **n refused (code)**: that many of the cases are refused before anything is written; `triport explain` and the code
  say why and what to do

This page is generated: `python docs/make_op_matrix.py`.
"""


@dataclass
class Cell:
    """What became of an op's cases on one port."""

    itself: int = 0
    others: set[str] = field(default_factory=set)
    refused: dict[str, int] = field(default_factory=dict)

    def render(self) -> str:
        ways = ["✓"] if self.itself else []
        if self.others:
            ways.append("→ " + ", ".join(sorted(self.others)))
        codes = [f"{count} refused ({code})" for code, count in sorted(self.refused.items())]
        return "; ".join([" / ".join(ways), *codes] if ways else codes)


def render(cases: Iterable[OpCase] = CASES) -> str:
    """The page."""
    cells: dict[str, dict[str, Cell]] = {name: {port: Cell() for port in PORTS} for name in REGISTRY}
    counts = dict.fromkeys(REGISTRY, 0)
    for case in cases:
        name = type(case.op).name
        counts[name] += 1
        for port in PORTS:
            _add(cells[name][port], case, port)
    rows = [
        f"| {name} | {counts[name]} | " + " | ".join(cells[name][port].render() for port in PORTS) + " |"
        for name in sorted(REGISTRY)
    ]
    total = f"{len(REGISTRY)} ops, {sum(counts.values())} cases."
    head = ["| op | cases | " + " | ".join(PORTS) + " |", "|---|---:|" + "---|" * len(PORTS)]
    return "\n".join([INTRODUCTION, total, "", *head, *rows, ""])


def _add(cell: Cell, case: OpCase, port: str) -> None:
    graph = case.graph()
    try:
        prepared = prepare(graph, PORTS[port])
    except ModelError as error:
        cell.refused[error.code] = cell.refused.get(error.code, 0) + 1
        return
    left = {type(node.op) for node in prepared.nodes}
    if type(case.op) in left:
        cell.itself += 1
    else:
        cell.others |= {op.name for op in left - {Transpose}}


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
