"""Weights in few bits: float16 and unsigned bytes in the manifest, the steps of filters behind the product."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cases.case import BATCH
from cases.stored_networks import NETWORKS, SCHEMES, image_network
from test_op_cases import BATCHES

import triport as tp
from triport.exporter import ops
from triport.exporter.graph import Array, DType, Graph, TensorType
from triport.exporter.graph.stored import StoredForm, stored_forms
from triport.exporter.passes.fix_sizes import fix_sizes
from triport.exporter.reference import run_graph
from triport.runtime_checks.parity import check_port
from triport.runtime_checks.runners.tfjs import Backend
from triport.runtime_checks.samples import Case
from triport.runtime_checks.truth import truth_by_reference
from triport.targets.prepare import prepare
from triport.targets.tfjs import TfjsTarget
from triport.targets.tfjs.artefact import _stored
from triport.targets.tfjs.coded import steps_of

from .conftest import Open


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_answers_are_those_of_the_graph_with_rounded_weights(scheme: str, name: str, open_graph: Open) -> None:
    (kind, block), (network, feeds) = SCHEMES[scheme], NETWORKS[name]
    graph = tp.quantize(network(), kind, block=block)
    if name == "tokens":  # recurrent layers are unrolled
        graph = fix_sizes(graph, {"time": 6})
    truth = truth_by_reference(graph, [Case(f"batch {n}", feeds(n), {}, False) for n in BATCHES])
    failed = []
    for backend in Backend:
        session = open_graph(graph, backend)
        failed += [f"{backend.value}, {c.case}: {c.problem}" for c in check_port(session, truth) if not c.passed]
    assert not failed


@pytest.mark.parametrize(
    ("scheme", "least", "most"), [("float16", 0.5, 0.52), ("int8", 0.25, 0.34), ("int4 by filter", 0.25, 0.34)]
)
def test_shards_shrink(scheme: str, least: float, most: float, tmp_path: Path) -> None:
    target, sizes = TfjsTarget(), {}
    kind, block = SCHEMES[scheme]
    for name, graph in (("plain", image_network()), ("small", tp.quantize(image_network(), kind, block=block))):
        target.write(prepare(graph, target), tmp_path / name, {})
        sizes[name] = (tmp_path / name / "group1-shard1of1.bin").stat().st_size
    assert least < sizes["small"] / sizes["plain"] < most


@pytest.mark.parametrize("activation", ops.Activation)
@pytest.mark.parametrize("backend", Backend, ids=lambda backend: backend.value)
def test_an_activation_stands_on_the_right_side_of_the_steps(
    activation: ops.Activation, backend: Backend, open_graph: Open
) -> None:
    graph = Graph(f"clamped {activation.value}")
    graph.metadata["quantization"] = {"stored": [[8, 0]]}
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 64)))
    bias = graph.add_constant(np.array([3.0, -1.0], np.float32))
    y = graph.add(ops.Linear(activation), x, graph.add_constant(_with_steps(), "w"), bias)
    graph.set_output("y", y)
    given = {"x": np.random.default_rng(1).normal(0, 1, (5, 64)).astype(np.float32)}
    got, want = open_graph(graph, backend).run(given)["y"], run_graph(graph, given)["y"]
    (node,) = graph.nodes
    assert steps_of(node.inputs[1], stored_forms(graph.metadata)) is not None
    np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64), atol=1e-5)


@pytest.mark.parametrize("backend", Backend, ids=lambda backend: backend.value)
def test_rows_of_a_table_come_with_their_steps(backend: Backend, open_graph: Open) -> None:
    graph = Graph("table")
    graph.metadata["quantization"] = {"stored": [[8, 0]]}
    ids = graph.add_input("ids", TensorType(DType.INT32, (BATCH, 3)))
    table = _with_steps()
    graph.set_output("y", graph.add(ops.Gather(0), graph.add_constant(table, "words"), ids))
    rows = open_graph(graph, backend).run({"ids": np.array([[1, 0, 1]], np.int32)})["y"]
    np.testing.assert_array_equal(rows, table[[[1, 0, 1]]])


def _with_steps() -> Array:
    """[2, 64], a step for each row."""
    steps = np.array([[40000], [50000]], np.float32) * np.float32(2.0**-20)
    return np.asarray(np.random.default_rng(0).integers(-127, 128, (2, 64)) * steps, np.float32)


def test_one_step_for_all_cells_is_stored_in_bytes(open_graph: Open) -> None:
    step = np.float32(40000 * 2.0**-22)
    codes = np.random.default_rng(0).integers(-127, 128, (16, 24))
    array = (codes * step).astype(np.float32)
    entry, cells = _stored("w", array.T, [StoredForm(8)])
    assert (cells.dtype.name, entry["quantization"]["dtype"]) == ("uint8", "uint8")
    graph = Graph("bytes")
    graph.metadata["quantization"] = {"stored": [[8, 0]]}
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 24)))
    graph.set_output("y", graph.add(ops.Linear(), x, graph.add_constant(array, "w")))
    rows = open_graph(graph, Backend.CPU).run({"x": np.eye(24, dtype=np.float32)})["y"]
    np.testing.assert_array_equal(rows, array.T)
