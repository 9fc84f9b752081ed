"""Every op case as a graph model, in the backends of TensorFlow.js that run in Node, against the float64 reference."""

from __future__ import annotations

import pytest
from cases import CASES
from cases.case import Data, OpCase
from test_op_cases import BATCHES

from triport.exporter.errors import ModelError
from triport.exporter.graph import DType
from triport.exporter.ops import REGISTRY, BitwiseOp, Gru, Lstm, OpAttrs, Rnn
from triport.exporter.passes.decompose import can_decompose
from triport.runtime_checks.parity import check_port
from triport.runtime_checks.runners.tfjs import Backend
from triport.runtime_checks.samples import Case
from triport.runtime_checks.truth import truth_by_reference
from triport.targets.prepare import prepare
from triport.targets.tfjs import TfjsTarget
from triport.targets.tfjs.emitters import EMITTERS

from .conftest import Open


def refused(case: OpCase) -> str | None:
    """The code with which the port refuses a case; None where it runs."""
    if any(operand.quantization is not None for operand in case.operands) or "quantiz" in type(case.op).name:
        return "TP105"
    if isinstance(case.op, BitwiseOp):
        return "TP101"
    steps = case.operands[0].shape[0] if getattr(case.operands[0], "fixed", False) else None
    return "TP104" if isinstance(case.op, Lstm | Gru | Rnn) and steps is None else None


RUN = [case for case in CASES if refused(case) is None]


@pytest.mark.parametrize("case", RUN, ids=lambda case: case.name)
def test_graph_model_answers_as_the_reference(case: OpCase, open_graph: Open) -> None:
    graph = case.graph()
    truth = truth_by_reference(graph, [Case(f"batch {n}", case.inputs(n), {}, False) for n in BATCHES])
    failed = []
    for backend in Backend:
        session = open_graph(graph, backend)
        failed += [f"{backend.value}, {c.case}: {c.problem}" for c in check_port(session, truth) if not c.passed]
    assert not failed


@pytest.mark.parametrize("case", [case for case in CASES if case not in RUN], ids=lambda case: case.name)
def test_what_it_cannot_say_is_refused_before_anything_is_written(case: OpCase) -> None:
    with pytest.raises(ModelError) as error:
        prepare(case.graph(), TfjsTarget())
    assert error.value.code == refused(case)
    assert error.value.help


@pytest.mark.parametrize("op", REGISTRY.values(), ids=lambda op: op.name)
def test_every_op_has_an_emitter_a_decomposition_or_a_reason(op: type[OpAttrs]) -> None:
    assert EMITTERS.knows(op) or can_decompose(op)


def test_dtypes_of_the_cases_that_run() -> None:
    kinds = {operand.type.dtype for case in RUN for operand in case.operands if isinstance(operand, Data)}
    assert kinds == {DType.FLOAT32, DType.INT32, DType.INT64, DType.INT8, DType.UINT8, DType.BOOL}
