"""Which nodes compute on codes, and which stay float."""

from __future__ import annotations

import numpy as np
import pytest

from triport.exporter.graph import Dim, DType, Graph, Sym, TensorType
from triport.exporter.ops import Linear, MatMul, Reshape, Softmax, Sub, Transpose
from triport.quantize import make_plan
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


@pytest.mark.parametrize("length", [1024, 1025, Sym.named("time")])
@pytest.mark.parametrize("axis", [None, -1, 1])
def test_products_of_activations_are_integer_where_their_sum_stays_exact(length: Dim, axis: int | None) -> None:
    """Shares of a softmax along the last axis add up to 1, however many they are."""
    graph = Graph("attention")
    a = graph.add_input("a", TensorType(DType.FLOAT32, (2, 3, length)))
    b = graph.add_input("b", TensorType(DType.FLOAT32, (2, length, 3)))
    if axis is not None:
        a = graph.add(Reshape((1, 2, 3, length)), graph.add(Softmax(axis), a))
        a = graph.add(Reshape((3, 2, length)), graph.add(Transpose((0, 2, 1, 3)), a))
        a = graph.add(Transpose((1, 0, 2)), a)
    graph.set_output("y", graph.add(MatMul(), a, b))
    form = decide(graph, coded_inputs=True)[graph.nodes[-1]].form
    assert form is (Form.INTEGER if length == 1024 or axis == -1 else Form.FLOAT)


def test_a_model_without_anything_for_codes_has_a_plan_that_says_why() -> None:
    graph = Graph("long product")
    operands = [
        graph.add_input(name, TensorType(DType.FLOAT32, shape)) for name, shape in (("a", (2, 2000)), ("b", (2000, 2)))
    ]
    graph.set_output("y", graph.add(MatMul(), *operands, name="product"))
    arrays = {value.name: np.ones(value.type.static_shape(), np.float32) for value in operands}
    plan = make_plan(graph, calibration=arrays)
    assert plan.nodes["product"].form is Form.FLOAT and "1024 products" in plan.nodes["product"].reason
