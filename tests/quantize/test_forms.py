"""Which nodes compute on codes, and which stay float."""

from __future__ import annotations

import numpy as np

from triport.exporter.graph import DType, Graph, TensorType
from triport.exporter.ops import Linear, Sub
from triport.quantize.forms import Form, decide


def _graph() -> Graph:
    """x - [4], a product with a weight, and - [4] once more."""
    graph = Graph("two differences")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (2, 4)))
    offsets = graph.add_constant(np.arange(4, dtype=np.float32), "offsets")
    weight = graph.add_constant(np.ones((4, 4), np.float32), "weight")
    product = graph.add(Linear(), graph.add(Sub(), x, offsets), weight)
    graph.set_output("y", graph.add(Sub(), product, offsets))
    return graph


def test_arithmetic_with_a_constant_is_float_before_the_first_codes_and_integer_behind_them() -> None:
    forms = [decision.form for decision in decide(_graph()).values()]
    assert forms == [Form.FLOAT, Form.INTEGER, Form.INTEGER]


def test_arithmetic_with_a_constant_is_integer_on_inputs_that_are_codes() -> None:
    forms = [decision.form for decision in decide(_graph(), coded_inputs=True).values()]
    assert forms == [Form.INTEGER] * 3
