"""What a port says about a graph it cannot write: every node, before a byte is written."""

from __future__ import annotations

import pytest

from triport.exporter.errors import ModelError
from triport.exporter.graph import DType, Graph, Source, Sym, TensorType
from triport.exporter.ops import Sigmoid
from triport.targets.prepare import prepare
from triport.targets.registry import get_target


def _graph(layers: int) -> Graph:
    """A chain in float64, which ONNX has and the phone has not."""
    graph = Graph()
    x = graph.add_input("x", TensorType(DType.FLOAT64, (Sym.named("batch"), 9)))
    for i in range(layers):
        source = Source(f"act{i}", f"model.py:{10 + i}") if i != 1 else Source()
        x = graph.add(Sigmoid(), x, name=f"act{i}", source=source)
    graph.set_output("y", x)
    return graph


def test_one_node_is_named_with_its_layer_and_line() -> None:
    with pytest.raises(ModelError) as refused:
        prepare(_graph(1), get_target("tflite"))
    error = refused.value
    assert 'sigmoid "act0" cannot be written to tflite' in error.message
    assert error.at == 'model.py:10, layer "act0"'
    assert error.details == ()
    assert error.help


def test_several_nodes_have_a_line_each() -> None:
    with pytest.raises(ModelError) as refused:
        prepare(_graph(3), get_target("tflite"))
    lines = [line for line in str(refused.value).splitlines() if line.startswith("  - ")]
    assert refused.value.message.endswith("(and 2 more)")
    assert [line.split(": ")[0] for line in lines] == [
        '  - sigmoid "act0" (model.py:10, layer "act0")',
        '  - sigmoid "act1"',
        '  - sigmoid "act2" (model.py:12, layer "act2")',
    ]


def test_details_survive_pickling() -> None:
    """Runners hand errors across processes."""
    import pickle

    with pytest.raises(ModelError) as refused:
        prepare(_graph(2), get_target("tflite"))
    copy = pickle.loads(pickle.dumps(refused.value))
    assert str(copy) == str(refused.value)
    assert copy.details == refused.value.details


def test_a_port_that_can_writes_the_same_graph() -> None:
    prepared = prepare(_graph(3), get_target("onnx"))
    assert [node.name for node in prepared.nodes] == ["act0", "act1", "act2"]


def test_an_error_is_placed_once() -> None:
    error = ModelError("TP202", "unknown", details=["one"], help="do")
    placed = error.placed("model.py:3")
    assert (placed.at, placed.details, placed.help) == ("model.py:3", ("one",), "do")
    assert placed.placed("model.py:9") is placed
    assert error.placed("") is error
