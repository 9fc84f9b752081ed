"""Ops in a row, which runtimes join and ports let share memory, on every port against the float64 reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from triport.exporter.graph import DType, Graph, TensorType, Value
from triport.exporter.ops import AveragePool, MaxPool, Mul, OpAttrs, Pad, Scatter
from triport.runtime_checks.parity import check_port
from triport.runtime_checks.runners import get_runner
from triport.runtime_checks.samples import Case
from triport.runtime_checks.truth import truth_by_reference
from triport.targets.prepare import prepare
from triport.targets.registry import get_target

PORTS = {"onnx": "onnxruntime", "tflite": "litert", "web": "node"}
SHAPE = (3, 2, 6, 5)
NONE = ((0, 0), (0, 0))
AROUND = Pad((0, 0, 1, 1), (0, 0, 1, 1))
WIDE = Pad((0, 0, 1, 0), (0, 0, 2, 1))

Build = Callable[[Graph, Value], Value]


def padded(pad: Pad, pool: OpAttrs) -> Build:
    return lambda graph, x: graph.add(pool, graph.add(pad, x))


def scattered(*, add: bool, computed: bool) -> Build:
    """Rows of a value go to other rows of the same one, as in ``y = x.clone(); y[order] = x``."""

    def build(graph: Graph, x: Value) -> Value:
        order = graph.add_constant(np.array([1, 2, 0], np.int32))
        rows = graph.add(Mul(), x, graph.add_constant(np.array([2], np.float32))) if computed else x
        return graph.add(Scatter(add=add), rows, order, rows)

    return build


JOINED = {
    "zeros, max pool": padded(AROUND, MaxPool((3, 3), (2, 2), NONE, (1, 1))),
    "zeros as many as the window has, max pool": padded(WIDE, MaxPool((2, 2), (2, 2), NONE, (1, 1))),
    "zeros as many as the window has, mean": padded(
        WIDE, AveragePool((2, 2), (2, 2), NONE, (1, 1), count_include_pad=True)
    ),
    "an input's rows into itself": scattered(add=False, computed=False),
    "a result's rows into itself": scattered(add=False, computed=True),
    "a result's rows added to itself": scattered(add=True, computed=True),
}


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("name", JOINED)
def test_port_answers_as_the_reference(name: str, port: str, tmp_path: Path) -> None:
    graph, target = Graph("joined"), get_target(port)
    graph.set_output("y", JOINED[name](graph, graph.add_input("x", TensorType(DType.FLOAT32, SHAPE))))
    target.write(prepare(graph, target), tmp_path / target.artefact, {})
    x = -np.random.default_rng(5).uniform(1, 3, SHAPE).astype(np.float32)  # below the padding
    truth = truth_by_reference(graph, [Case("x", {"x": x}, {}, False)])
    with get_runner(PORTS[port]).load(tmp_path / target.artefact) as session:
        assert [check.problem for check in check_port(session, truth) if not check.passed] == []
