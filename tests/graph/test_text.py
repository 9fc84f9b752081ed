"""The text form shows what a reader looks for: types, wiring, attributes, quantization and source."""

from __future__ import annotations

from graph.random_graphs import BATCH, small_graph

from triport.exporter.graph import DType, Graph, Quantization, TensorType


def test_a_graph_prints_one_line_a_node() -> None:
    assert (
        str(small_graph())
        == """\
graph small
  %x: float32[batch, 4] = input
  %first.weight: float32[4, 4] = constant, 64 bytes
  %first.bias: float32[4] = constant, 16 bytes
  %second.weight: float32[4, 4] = constant, 64 bytes
  %first:out: float32[batch, 4] = linear(%x, %first.weight, %first.bias) {activation=relu}  # model.py:12, layer "first"
  %second:out: float32[batch, 4] = linear(%first:out, %second.weight)  # model.py:13, layer "second"
  return scores=%second:out"""
    )


def test_quantization_is_shown_with_the_value() -> None:
    graph = Graph()
    graph.add_input("x", TensorType(DType.INT8, (BATCH, 4), Quantization(0.0078125, -1)))
    assert str(graph).splitlines()[1] == "  %x: int8[batch, 4] @ scale 0.0078125, zero point -1 = input"
