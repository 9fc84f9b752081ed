"""Weights in few bits on every port: small in its file, and the outputs those of the graph with the rounded weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from cases.stored_networks import NETWORKS, SCHEMES
from test_op_cases import BATCHES, PORTS

import triport as tp
from triport.exporter.graph.stored import LEAST_CELLS, stored_form_of, stored_forms
from triport.runtime_checks.parity import check_port
from triport.runtime_checks.runners import get_runner
from triport.runtime_checks.samples import Case
from triport.runtime_checks.truth import truth_by_reference
from triport.targets.prepare import prepare
from triport.targets.registry import get_target


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", NETWORKS)
def test_port_answers_as_the_graph_with_rounded_weights(name: str, scheme: str, port: str, tmp_path: Path) -> None:
    (network, feeds), (kind, block), target = NETWORKS[name], SCHEMES[scheme], get_target(port)
    graph = tp.quantize(network(), kind, block=block)
    artefact = tmp_path / target.artefact
    target.write(prepare(graph, target), artefact, {})
    truth = truth_by_reference(graph, [Case(f"batch {n}", feeds(n), {}, False) for n in BATCHES])
    with get_runner(PORTS[port]).load(artefact) as session:
        failed = [f"{check.case}: {check.problem}" for check in check_port(session, truth) if not check.passed]
    assert not failed


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", NETWORKS)
def test_passes_leave_every_weight_in_its_form(name: str, scheme: str, port: str) -> None:
    kind, block = SCHEMES[scheme]
    graph = tp.quantize(NETWORKS[name][0](), kind, block=block)
    prepared, forms = prepare(graph, get_target(port)), stored_forms(graph.metadata)
    weights = [v for v in prepared.constants() if v.type.rank > 1 and v.array().size >= 2 * LEAST_CELLS]
    kept = [v.name for v in weights if stored_form_of(v.array(), forms) is None and not v.name.startswith(BIASES)]
    assert len(weights) > 5 and kept == []


BIASES = ("lstm.2", "gru.2", "rnn.2")
"""Of recurrent layers: two rows."""
