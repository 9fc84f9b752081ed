"""Scale and offset of layer norms, taken in by the linear layers behind them."""

from __future__ import annotations

from typing import Any

import numpy as np
from passes.build import Builder, fires, leaves_alone

from triport.exporter.graph import DType, Graph, Node, Value
from triport.exporter.ops import LayerNorm, Linear, Relu
from triport.exporter.passes.fold_norm_into_linear import fold_norm_into_linear

FOLD = fold_norm_into_linear(lambda node: False)


def _norm(b: Builder, x: Value, *, offset: bool = True, axes: int = 1) -> Value:
    shape = tuple(dim for dim in x.type.shape[-axes:] if isinstance(dim, int))
    parameters = [b.constant(*shape, low=0.5, high=1.5)] + ([b.constant(*shape)] if offset else [])
    return b.add(LayerNorm(axes, 1e-5), x, *parameters, name="norm")


def _only(graph: Graph, op: type[LayerNorm]) -> Node:
    (node,) = (node for node in graph.nodes if isinstance(node.op, op))
    return node


def test_all_linear_layers_behind_a_norm_take_its_parameters_in() -> None:
    b = Builder(DType.FLOAT64)
    x = _norm(b, b.input(3, 8))
    graph = b.done(b.linear(x, 4, "first"), b.linear(x, 5, "second"))
    after = fires(FOLD, graph)
    assert len(_only(after, LayerNorm).inputs) == 1


def test_a_linear_layer_without_a_bias_gets_one_where_the_norm_has_an_offset() -> None:
    for offset in (True, False):
        b = Builder(DType.FLOAT64)
        x = _norm(b, b.input(8), offset=offset)
        after = fires(FOLD, b.done(b.add(Linear(), x, b.constant(4, 8, name="weight"))))
        (linear,) = (node for node in after.nodes if isinstance(node.op, Linear))
        assert len(linear.inputs) == 2 + offset


def test_a_norm_that_something_else_reads_too_stays_whole() -> None:
    b = Builder()
    x = _norm(b, b.input(8))
    leaves_alone(FOLD, b.done(b.linear(x, 4), b.add(Relu(), x)))
    b = Builder()
    x = _norm(b, b.input(8))
    leaves_alone(FOLD, b.done(b.linear(x, 4), x))


def test_a_weight_that_two_layers_share_stays_one() -> None:
    b = Builder()
    x, weight = b.input(8), b.constant(8, 8, name="tied")
    y = b.add(Linear(), _norm(b, x), weight)
    leaves_alone(FOLD, b.done(b.add(Linear(), y, weight)))


def test_a_norm_over_several_axes_and_a_computed_weight_stay() -> None:
    b = Builder()
    leaves_alone(FOLD, b.done(b.linear(_norm(b, b.input(3, 8), axes=2), 4)))
    b = Builder()
    weight = b.add(Relu(), b.constant(4, 8))
    leaves_alone(FOLD, b.done(b.add(Linear(), _norm(b, b.input(8)), weight)))


def test_a_norm_that_the_target_writes_as_it_is_stays_whole() -> None:
    b = Builder()
    leaves_alone(fold_norm_into_linear(lambda node: True), b.done(b.linear(_norm(b, b.input(8)), 4)))


def test_float32_keeps_its_digits() -> None:
    b = Builder()
    graph = b.done(b.linear(_norm(b, b.input(64)), 16))
    folded = graph.copy()
    assert FOLD(folded)
    x = np.random.default_rng(1).normal(3.0, 2.0, (5, 64)).astype(np.float32)
    exact: Any = graph.run({"x": x})
    answers: Any = folded.run({"x": x})
    for name, got in answers.items():
        np.testing.assert_allclose(got, exact[name], rtol=0, atol=2e-6 * float(np.ptp(exact[name])))
