"""Indices that are no place in a table: every port refuses them, those that count from the end elsewhere included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from triport.exporter import ops
from triport.exporter.errors import CheckError
from triport.exporter.graph import DType, Graph, Sym, TensorType
from triport.runtime_checks.runners import get_runner
from triport.targets.prepare import prepare
from triport.targets.registry import get_target

TABLE = np.arange(8, dtype=np.float32).reshape(4, 2)
RUNTIMES = {"onnx": "onnxruntime", "tflite": "litert", "web": "node"}


def _words() -> Graph:
    graph = Graph("words")
    places = graph.add_input("places", TensorType(DType.INT32, (Sym.named("batch"),)))
    graph.set_output("rows", graph.add(ops.Gather(0), graph.add_constant(TABLE, "table"), places))
    return graph


@pytest.mark.parametrize("port", RUNTIMES)
def test_an_index_beyond_the_table_or_below_it_is_refused(port: str, tmp_path: Path) -> None:
    target = get_target(port)
    target.write(prepare(_words(), target), tmp_path / target.artefact, {})
    with get_runner(RUNTIMES[port]).load(tmp_path / target.artefact) as session:
        rows = session.run({"places": np.array([3, 0], np.int32)})["rows"]
        np.testing.assert_array_equal(rows, TABLE[[3, 0]])
        for wrong in ([0, -1], [-4, 0], [0, 4]):
            with pytest.raises(CheckError) as refused:
                session.run({"places": np.array(wrong, np.int32)})
            assert refused.value.code == "TP505"


def test_onnx_asks_only_what_may_be_negative(tmp_path: Path) -> None:
    """Numbers of places that the graph makes itself are not looked at again."""
    import onnx

    graph = _words()
    (node,) = graph.nodes
    graph.set_output("largest", graph.add(ops.Gather(0), node.inputs[0], graph.add(ops.ArgMax(1, False), node.output)))
    target = get_target("onnx")
    target.write(prepare(graph, target), tmp_path / "model.onnx", {})
    listed = [step.op_type for step in onnx.load(str(tmp_path / "model.onnx")).graph.node]
    assert (listed.count("Gather"), listed.count("Less"), listed.count("Where")) == (2, 1, 1)
