"""Where a runtime's own kernel loses a NaN among its operands: docs/verification.md lists it, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from cases import CASES
from cases.case import OpCase

from triport.exporter.graph import Array
from triport.exporter.reference import run_graph
from triport.runtime_checks.parity import fit_inputs
from triport.runtime_checks.runners import get_runner
from triport.targets.prepare import prepare
from triport.targets.registry import get_target

PAGE = Path(__file__).parents[1] / "docs" / "verification.md"
PORTS = {"onnx": "onnxruntime", "tflite": "litert", "web": "node"}


def first_cases() -> dict[str, OpCase]:
    """One case of each op that takes a float."""
    found: dict[str, OpCase] = {}
    for case in CASES:
        if not case.refused and any(array.dtype == np.float32 for array in case.inputs(2).values()):
            found.setdefault(type(case.op).name, case)
    return found


def with_nan(case: OpCase) -> dict[str, Array]:
    """The inputs with NaN in the middle of each float one."""
    inputs = case.inputs(2)
    for array in inputs.values():
        if array.dtype == np.float32 and array.size:
            array.flat[array.size // 2] = np.nan
    return inputs


def documented(port: str) -> set[str]:
    """The ops named in the port's row of the table."""
    page = PAGE.read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| {port} \|(.*)\|$", page[page.index("## NaN") :], re.MULTILINE)
    return set(re.findall(r"`(\w+)`", row))


@pytest.mark.parametrize("port", PORTS)
def test_ops_that_lose_nan_are_the_documented_ones(port: str, tmp_path: Path) -> None:
    target, lost = get_target(port), set()
    for name, case in first_cases().items():
        graph, inputs = case.graph(), with_nan(case)
        want = run_graph(graph, inputs)
        artefact = tmp_path / name / target.artefact
        artefact.parent.mkdir()
        target.write(prepare(graph, target), artefact, {})
        with get_runner(PORTS[port]).load(artefact) as session:
            got = session.run(fit_inputs(session, inputs))
        floats = [output for output, array in want.items() if array.dtype == np.float32]
        if any(not np.array_equal(np.isnan(want[output]), np.isnan(got[output])) for output in floats):
            lost.add(name)
    assert lost == documented(port)
