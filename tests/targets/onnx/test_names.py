"""Which names an ONNX file of ours holds, and what it holds once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from cases.quantized_network import quantized_network

from triport.exporter.graph import DType, Graph, TensorType
from triport.exporter.ops import Add, Linear, Relu
from triport.targets.onnx import OnnxTarget
from triport.targets.onnx.names import tensor_names
from triport.targets.prepare import prepare


def _written(graph: Graph, folder: Path) -> tuple[Graph, onnx.ModelProto]:
    prepared = prepare(graph, OnnxTarget())
    OnnxTarget().write(prepared, folder / "model.onnx", {})
    return prepared, onnx.load(folder / "model.onnx")


def test_nodes_and_parameters_keep_their_names_and_the_rest_has_numbers(tmp_path: Path) -> None:
    graph = Graph()
    x = graph.add_input("_0", TensorType(DType.FLOAT32, (2, 8)))
    weight, bias = graph.add_constant(np.eye(8, dtype=np.float32), "head.weight"), np.zeros(8, np.float32)
    y = graph.add_node(Linear(), [x, weight, graph.add_constant(bias, "head.bias")], name="head").output
    z = graph.add_node(Relu(), [y], name="relu").output
    graph.set_output("scores", graph.add_node(Add(), [y, z], name="sum").output)
    _, model = _written(graph, tmp_path)
    assert [node.name for node in model.graph.node] == ["head", "relu", "sum"]
    assert [list(node.output) for node in model.graph.node] == [["_1"], ["_2"], ["scores"]]
    assert model.graph.node[0].input[0] == "_0"  # what the user called so, and nothing else
    assert {tensor.name for tensor in model.graph.initializer} == {"head.weight", "head.bias"}


def test_no_two_initialisers_of_a_file_are_alike(tmp_path: Path) -> None:
    prepared, model = _written(quantized_network(), tmp_path)
    cells = Counter((t.data_type, tuple(t.dims), t.raw_data) for t in model.graph.initializer)
    assert max(cells.values()) == 1
    assert len({t.name for t in model.graph.initializer}) == len(cells)
    assert {node.name for node in prepared.nodes} <= {node.name for node in model.graph.node}


def test_tensors_are_found_by_the_nodes_that_compute_them(tmp_path: Path) -> None:
    prepared, model = _written(quantized_network(), tmp_path)
    found = tensor_names(prepared, model.graph.node)
    computed = {node.name: list(node.output) for node in model.graph.node}
    assert {value for node in prepared.nodes for value in node.outputs} == found.keys()
    for value, name in found.items():
        assert value.producer is not None
        assert name == value.name or name in computed[value.producer.name]
