"""Factors behind linear layers, taken in by their weights."""

from __future__ import annotations

import numpy as np
import pytest
from passes.build import BATCH, Builder, count, fires, labels, leaves_alone

from triport.exporter.graph import DType, Value
from triport.exporter.ops import Activation, Div, Linear, MatMul, Mul, Relu, Reshape, Transpose
from triport.exporter.passes.fold_scale_into_linear import fold_scale_into_linear


def _heads(b: Builder, name: str) -> Value:
    y = b.add(Reshape((BATCH, 5, 2, 4)), b.linear(b.input(5, 8, name=f"x_{name}"), 8, name))
    return b.add(Transpose((0, 2, 1, 3)), y)


def test_a_number_goes_past_reshapes_and_transposes() -> None:
    b = Builder(DType.FLOAT64)
    after = fires(fold_scale_into_linear, b.done(b.add(Mul(), 0.3, _heads(b, "q"), name="scaled")))
    assert labels(after) == ["linear", "reshape", "transpose"]
    assert after.nodes[-1].name == "scaled"


def test_scores_that_are_divided_take_it_to_the_queries() -> None:
    b = Builder(DType.FLOAT64)
    scores = b.add(MatMul(transpose_b=True), _heads(b, "q"), _heads(b, "k"))
    keys = {value.name: value for value in b.graph.constants()}["k.weight"]
    after = fires(fold_scale_into_linear, b.done(b.add(Div(), scores, 1.7)))
    assert count(after, Div, Mul) == 0
    assert any(value.name == "k.weight" and np.array_equal(value.array(), keys.array()) for value in after.constants())


def test_a_product_of_a_tensor_with_itself_would_take_it_twice() -> None:
    b = Builder()
    x = _heads(b, "q")
    leaves_alone(fold_scale_into_linear, b.done(b.add(Mul(), b.add(MatMul(transpose_b=True), x, x), 0.5)))


def test_weights_in_few_bits_keep_their_steps() -> None:
    b = Builder()
    graph = b.done(b.add(Mul(), 0.3, _heads(b, "q")))
    graph.metadata["quantization"] = {"scheme": "int4-weights", "stored": [[4, 0]]}
    leaves_alone(fold_scale_into_linear, graph)


def test_a_factor_for_each_output_is_taken_in_right_behind_the_layer() -> None:
    b = Builder(DType.FLOAT64)
    y = b.linear(b.input(5, 8), 6)
    assert labels(fires(fold_scale_into_linear, b.done(b.add(Mul(), y, b.constant(6, low=0.1))))) == ["linear"]
    b = Builder()
    y = b.add(Reshape((BATCH, 30)), b.linear(b.input(5, 8), 6))
    leaves_alone(fold_scale_into_linear, b.done(b.add(Mul(), y, b.constant(30, low=0.1))))


def test_a_power_of_two_changes_no_bit() -> None:
    b = Builder()
    graph = b.done(b.add(Mul(), b.linear(b.input(64), 16), 0.125))
    x = np.random.default_rng(1).normal(size=(5, 64)).astype(np.float32)
    folded = graph.copy()
    assert fold_scale_into_linear(folded)
    assert np.array_equal(folded.run({"x": x})["y"], graph.run({"x": x})["y"])


@pytest.mark.parametrize("factor", [0.0, 1e-9, 1e9, float("inf"), float("nan")])
def test_factors_that_weights_cannot_take_stay(factor: float) -> None:
    b = Builder()
    leaves_alone(fold_scale_into_linear, b.done(b.add(Mul(), b.linear(b.input(8), 4), factor)))


def test_what_is_read_unscaled_too_or_is_no_layer_alone_stays() -> None:
    b = Builder()
    y = b.linear(b.input(8), 4)
    leaves_alone(fold_scale_into_linear, b.done(b.add(Mul(), y, 0.5), b.add(Relu(), y)))
    b = Builder()
    y = b.linear(b.input(8), 4)
    leaves_alone(fold_scale_into_linear, b.done(b.add(Mul(), y, 0.5), y))
    b = Builder()
    leaves_alone(fold_scale_into_linear, b.done(b.add(Mul(), b.add(Relu(), b.linear(b.input(8), 4)), 0.5)))


def test_what_divides_more_cells_or_is_divided_stays() -> None:
    b = Builder()
    leaves_alone(fold_scale_into_linear, b.done(b.add(Div(), 2.0, b.linear(b.input(8), 4))))
    b = Builder()
    leaves_alone(fold_scale_into_linear, b.done(b.add(Mul(), b.linear(b.input(8), 1), b.constant(4, low=0.1))))


def test_activations_on_either_side_stay_where_they_are() -> None:
    b = Builder()
    x, weight = b.input(8), b.constant(4, 8)
    leaves_alone(fold_scale_into_linear, b.done(b.add(Mul(), b.add(Linear(Activation.RELU6), x, weight), 0.5)))
    b = Builder()
    leaves_alone(fold_scale_into_linear, b.done(b.add(Mul(Activation.RELU6), b.linear(b.input(8), 4), 0.5)))


def test_a_weight_that_two_layers_share_stays_one() -> None:
    b = Builder()
    weight = b.constant(8, 8)
    y = b.add(Mul(), b.add(Linear(), b.input(8), weight), 0.5)
    leaves_alone(fold_scale_into_linear, b.done(b.add(Linear(), y, weight)))
