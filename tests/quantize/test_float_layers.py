"""int8: layers that have no form on codes compute in float32, and their weights take 8 bits in the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cases.stored_networks import token_feeds, token_network
from test_op_cases import BATCHES, PORTS

import triport as tp
from triport.exporter.graph import Array, DType, Graph, TensorType
from triport.exporter.graph.stored import stored_form_of, stored_forms
from triport.exporter.ops import Lstm
from triport.runtime_checks.parity import check_port
from triport.runtime_checks.runners import get_runner
from triport.runtime_checks.samples import Case
from triport.runtime_checks.truth import truth_by_reference
from triport.targets.prepare import prepare
from triport.targets.registry import get_target

CALIBRATION = [token_feeds(batch) for batch in (2, 7)]

MATRICES = {"words", *(f"{layer}.{matrix}" for layer in ("lstm", "gru", "rnn") for matrix in (0, 1))}


def stored(graph: Graph) -> set[str]:
    """The constants that a file holds in 8 bits."""
    forms = stored_forms(graph.metadata)
    found = {v.name: stored_form_of(v.array(), forms) for v in graph.constants() if v.type.dtype is DType.FLOAT32}
    return {name for name, form in found.items() if form is not None and form.bits == 8}


@pytest.mark.parametrize("scheme", ["int8", "int8-strict"])
def test_weights_of_recurrent_layers_and_tables_take_8_bits(scheme: str) -> None:
    float32 = {value.name: value.array() for value in token_network().constants()}
    quantized = tp.quantize(token_network(), scheme, calibration=CALIBRATION)
    assert stored(quantized) == MATRICES
    for value in quantized.constants():
        if value.name in MATRICES:
            before, after = (np.asarray(array, np.float64) for array in (float32[value.name], value.array()))
            steps = np.abs(before).max(1, keepdims=True) / 127
            assert np.all(np.abs(after - before) <= steps * 0.5001)


def test_what_the_user_keeps_stays_as_it_is() -> None:
    quantized = tp.quantize(token_network(), calibration=CALIBRATION, keep_float=["gru", "head"])
    assert stored(quantized) == {name for name in MATRICES if not name.startswith("gru")}
    float32 = {value.name: value.array() for value in token_network().constants()}
    after = {value.name: value.array() for value in quantized.constants()}
    for name in ("gru.0", "gru.1", "head.0"):
        np.testing.assert_array_equal(after[name], float32[name])


def test_a_weight_that_a_kept_layer_reads_as_well_stays_as_it_is() -> None:
    graph, random = Graph(), np.random.default_rng(0)
    y = graph.add_input("x", TensorType(DType.FLOAT32, (5, 2, 16)))
    weights: list[Array] = [random.normal(0, 0.3, shape).astype(np.float32) for shape in ((64, 16), (64, 16), (2, 64))]
    tied = [graph.add_constant(array, name) for array, name in zip(weights, ("w", "r", "b"), strict=True)]
    for name in ("first", "second"):
        y = graph.add_node(Lstm(), [y, *tied], name=name).outputs[0]
    graph.set_output("y", y)
    samples = {"x": random.normal(size=(5, 2, 16)).astype(np.float32)}
    assert len(stored(tp.quantize(graph, calibration=[samples]))) == 2
    assert not stored(tp.quantize(graph, calibration=[samples], keep_float="second"))


@pytest.mark.parametrize("port", PORTS)
def test_ports_answer_as_the_graph_and_take_a_third_of_the_bytes(port: str, tmp_path: Path) -> None:
    """The last layer in float32: behind codes, a last bit of float32 may become a step."""
    target, sizes = get_target(port), []
    quantized = tp.quantize(token_network(), calibration=CALIBRATION, keep_float="head")
    for name, graph in (("float32", token_network()), ("int8", quantized)):
        artefact = tmp_path / name / target.artefact
        artefact.parent.mkdir()
        target.write(prepare(graph, target), artefact, {})
        weights = artefact / "weights.bin" if artefact.is_dir() else artefact
        sizes.append(weights.stat().st_size)
    assert sizes[1] < 0.45 * sizes[0]
    truth = truth_by_reference(quantized, [Case(f"batch {n}", token_feeds(n), {}, False) for n in BATCHES])
    with get_runner(PORTS[port]).load(artefact) as session:
        failed = [f"{check.case}: {check.problem}" for check in check_port(session, truth) if not check.passed]
    assert not failed
