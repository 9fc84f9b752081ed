"""Every op case on every port, in the port's real runtime, at batch 1, 2 and 7, against the float64 reference."""

from __future__ import annotations

from pathlib import Path

import pytest
from cases import CASES
from cases.case import OpCase

from triport.exporter.errors import ModelError
from triport.exporter.graph.verify import verify
from triport.exporter.ops import REGISTRY
from triport.runtime_checks.parity import check_port
from triport.runtime_checks.runners import get_runner
from triport.runtime_checks.samples import Case
from triport.runtime_checks.truth import truth_by_reference
from triport.targets.prepare import prepare
from triport.targets.registry import get_target

PORTS = {"onnx": "onnxruntime", "tflite": "litert", "web": "node"}
BATCHES = (1, 2, 7)


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_port_answers_as_the_reference(case: OpCase, port: str, tmp_path: Path) -> None:
    graph, target = case.graph(), get_target(port)
    if port in case.refused:
        with pytest.raises(ModelError) as refused:
            prepare(graph, target)
        assert refused.value.code == case.refused[port]
        return
    prepared = prepare(graph, target)
    verify(prepared)
    artefact = tmp_path / target.artefact
    target.write(prepared, artefact, {})
    truth = truth_by_reference(graph, [Case(f"batch {n}", case.inputs(n), {}, False) for n in BATCHES])
    with get_runner(PORTS[port]).load(artefact) as session:
        failed = [f"{check.case}: {check.problem}" for check in check_port(session, truth) if not check.passed]
    assert not failed


def test_every_op_has_a_case() -> None:
    assert {type(case.op).name for case in CASES} == set(REGISTRY)


def test_case_names_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
