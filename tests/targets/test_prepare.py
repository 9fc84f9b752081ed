"""What a port says about a graph it cannot write: every node, before a byte is written."""

from __future__ import annotations

import pytest

from triport.exporter.errors import ModelError
from triport.exporter.graph import DType, Graph, Source, Sym, TensorType
from triport.exporter.ops import Conv, MaxPool, Relu
from triport.targets.prepare import prepare
from triport.targets.registry import get_target

DILATED = MaxPool((2, 2), (1, 1), ((0, 0), (0, 0)), (2, 2))


def _graph(pools: int) -> Graph:
    graph = Graph()
    x = graph.add_input("x", TensorType(DType.FLOAT32, (Sym.named("batch"), 9, 9, 9)))
    for i in range(pools):
        source = Source(f"pool{i}", f"model.py:{10 + i}") if i != 1 else Source()
        x = graph.add(Relu(), graph.add(DILATED, x, name=f"pool{i}", source=source))
    graph.set_output("y", x)
    return graph


def test_one_node_is_named_with_its_layer_and_line() -> None:
    with pytest.raises(ModelError) as refused:
        prepare(_graph(1), get_target("tflite"))
    error = refused.value
    assert 'max_pool2d "pool0" cannot be written to tflite' in error.message
    assert error.at == 'model.py:10, layer "pool0"'
    assert error.details == ()
    assert error.help


def test_several_nodes_have_a_line_each() -> None:
    with pytest.raises(ModelError) as refused:
        prepare(_graph(3), get_target("tflite"))
    lines = [line for line in str(refused.value).splitlines() if line.startswith("  - ")]
    assert refused.value.message.endswith("(and 2 more)")
    assert [line.split(": ")[0] for line in lines] == [
        '  - max_pool2d "pool0" (model.py:10, layer "pool0")',
        '  - max_pool2d "pool1"',
        '  - max_pool2d "pool2" (model.py:12, layer "pool2")',
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
    assert sum(isinstance(node.op, MaxPool) for node in prepared.nodes) == 3
    assert not any(isinstance(node.op, Conv) for node in prepared.nodes)


def test_an_error_is_placed_once() -> None:
    error = ModelError("TP202", "unknown", details=["one"], help="do")
    placed = error.placed("model.py:3")
    assert (placed.at, placed.details, placed.help) == ("model.py:3", ("one",), "do")
    assert placed.placed("model.py:9") is placed
    assert error.placed("") is error
