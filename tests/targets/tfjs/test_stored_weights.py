"""Weights in few bits: float16 in the manifest, unsigned bytes where one step is enough, float32 else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cases.case import BATCH
from cases.stored_networks import SCHEMES, image_feeds, image_network
from test_op_cases import BATCHES

import triport as tp
from triport.exporter import ops
from triport.exporter.graph import DType, Graph, TensorType
from triport.exporter.graph.stored import StoredForm
from triport.runtime_checks.parity import check_port
from triport.runtime_checks.runners.tfjs import Backend
from triport.runtime_checks.samples import Case
from triport.runtime_checks.truth import truth_by_reference
from triport.targets.prepare import prepare
from triport.targets.tfjs import TfjsTarget
from triport.targets.tfjs.artefact import _stored

from .conftest import Open


@pytest.mark.parametrize("scheme", SCHEMES)
def test_answers_are_those_of_the_graph_with_rounded_weights(scheme: str, open_graph: Open) -> None:
    kind, block = SCHEMES[scheme]
    graph = tp.quantize(image_network(), kind, block=block)
    truth = truth_by_reference(graph, [Case(f"batch {n}", image_feeds(n), {}, False) for n in BATCHES])
    failed = []
    for backend in Backend:
        session = open_graph(graph, backend)
        failed += [f"{backend.value}, {c.case}: {c.problem}" for c in check_port(session, truth) if not c.passed]
    assert not failed


def test_float16_halves_the_shards(tmp_path: Path) -> None:
    sizes = {}
    for kind, graph in (("float32", image_network()), ("float16", tp.quantize(image_network(), "float16"))):
        target = TfjsTarget()
        target.write(prepare(graph, target), tmp_path / kind, {})
        sizes[kind] = (tmp_path / kind / "group1-shard1of1.bin").stat().st_size
        (group,) = json.loads((tmp_path / kind / "model.json").read_text())["weightsManifest"]
        halves = [entry for entry in group["weights"] if entry.get("quantization", {}).get("dtype") == "float16"]
        assert bool(halves) == (kind == "float16")
    assert sizes["float16"] < 0.55 * sizes["float32"]


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


def test_a_step_for_each_filter_stays_float32() -> None:
    steps = np.array([[40000], [50000]], np.float32) * np.float32(2.0**-22)
    array = (np.random.default_rng(0).integers(-127, 128, (2, 64)) * steps).astype(np.float32)
    entry, cells = _stored("w", array, [StoredForm(8)])
    assert "quantization" not in entry and cells is array
