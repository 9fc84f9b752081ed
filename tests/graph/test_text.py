"""The text form shows what a reader looks for: types, wiring, attributes, quantization and source."""

from __future__ import annotations

from graph.random_graphs import small_graph

from triport.exporter.graph import Quantization


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
    graph = small_graph()
    graph.set_quantization(graph.inputs[0], Quantization((0.0078125,), (-1,)))
    graph.set_quantization(graph.constants()[0], Quantization((0.5,) * 4, (0,) * 4, axis=0))
    lines = str(graph).splitlines()
    assert lines[1] == "  %x: float32[batch, 4] = input @ scale 0.0078125, zero point -1"
    assert lines[2] == "  %first.weight: float32[4, 4] = constant, 64 bytes @ 4 scales along axis 0"
