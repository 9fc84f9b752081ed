"""Scales that the plan settles on: safe for every node, shared where they have to be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_graphs import BATCH, dense
from torch import nn

import triport as tp
from triport.exporter.graph import DType, Graph, TensorType, Value
from triport.exporter.ops import (
    Activation,
    Add,
    Concat,
    HardSwish,
    LayerNorm,
    MatMul,
    Mul,
    Reshape,
    Sigmoid,
    Sub,
    Tanh,
)
from triport.quantize.arithmetic import SUM_RATIOS, add_is_safe, mul_is_safe, sub_is_safe, unary_margin
from triport.quantize.forms import decide
from triport.quantize.groups import IDLE_RANGE, quantization_for
from triport.quantize.plan import Plan
from triport.quantize.solve import (
    TABLE_MARGIN,
    Unsettled,
    coded_values,
    solve,
    unary_function,
)

WIDTH = 4


def start(count: int) -> tuple[Graph, list[Value]]:
    """Linear layers side by side."""
    graph = Graph("side_by_side")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, WIDTH)))
    weight = np.eye(WIDTH, dtype=np.float32)
    return graph, [dense(graph, x, weight, f"dense{i}", f"net.py:{i}") for i in range(count)]


def planned(graph: Graph, ranges: Any) -> Plan:
    decisions = decide(graph)
    names = [value.name for value in coded_values(graph, decisions) if not value.is_constant]
    return solve(graph, decisions, {name: ranges(name) for name in names}, "int8")


ends = st.floats(0.01, 100).map(lambda end: float(np.float32(end)))
ranges = st.lists(st.tuples(ends.map(lambda end: -end) | st.just(0.0), ends), min_size=12, max_size=12)


@given(ranges=ranges)
@settings(max_examples=25, deadline=None)
def test_every_group_settles_on_scales_that_all_runtimes_round_alike(ranges: list[tuple[float, float]]) -> None:
    graph, (a, b, c) = start(3)
    total = graph.add(Add(), a, b, name="add")
    less = graph.add(Sub(), total, c, name="sub")
    gate = graph.add(Sigmoid(), graph.add(Reshape((BATCH, WIDTH)), less, name="reshape"), name="sigmoid")
    graph.set_output(
        "y", dense(graph, graph.add(Mul(), gate, total, name="mul"), np.eye(WIDTH, dtype=np.float32), "l", "")
    )
    chosen = iter(ranges)
    try:
        plan = planned(graph, lambda name: next(chosen, (-1.0, 1.0)))
    except Unsettled:  # told, and the node stays float
        return
    of = {name: value.quantization for name, value in plan.values.items()}
    assert of["reshape:out"] == of["sub:out"]
    assert add_is_safe(of["dense0:out"], of["dense1:out"], of["add:out"])
    assert sub_is_safe(of["add:out"], of["dense2:out"], of["sub:out"])
    assert mul_is_safe(of["sigmoid:out"], of["add:out"], of["mul:out"]) and of["mul:out"].zero_point % 2 == 0
    node = next(node for node in graph.nodes if node.name == "sigmoid")
    assert unary_margin(unary_function(node), of["reshape:out"], of["sigmoid:out"]) >= TABLE_MARGIN


@given(ends=st.tuples(ends, ends), symmetric=st.booleans(), even=st.booleans(), power_of_two=st.booleans())
@settings(max_examples=200, deadline=None)
def test_codes_cover_the_range(ends: tuple[float, float], symmetric: bool, even: bool, power_of_two: bool) -> None:
    low, high = -ends[0], ends[1]
    of = quantization_for(low, high, symmetric=symmetric, even=even, power_of_two=power_of_two)
    reach = 3.0 if power_of_two else 1.001  # steps that may be missing at an end
    assert (-128 - of.zero_point) * of.scale <= low + reach * of.scale
    assert (127 - of.zero_point) * of.scale >= high - reach * of.scale
    assert not power_of_two or math.frexp(of.scale)[0] == 0.5
    assert not symmetric or of.zero_point == 0
    assert not even or of.zero_point % 2 == 0
    assert of.scale <= 2.1 * max(-low, high) / 127 * (2 if power_of_two else 1)


def test_what_a_concat_joins_shares_its_scale_through_moves() -> None:
    graph, (a, b, c) = start(3)
    joined = graph.add(Concat(1), graph.add(Reshape((BATCH, WIDTH)), a, name="reshape"), b, name="concat")
    graph.set_output("y", joined)
    graph.set_output("z", graph.add(Add(), b, c, name="add"))
    plan = planned(graph, lambda name: (-5.0, 7.0) if name == "dense2:out" else (-1.0, 1.0))
    shared = {plan.values[f"{name}:out"].quantization for name in ("dense0", "reshape", "dense1", "concat")}
    assert len(shared) == 1
    assert plan.values["concat:out"].quantization.scale == pytest.approx(2 / 255, rel=1e-2)


def test_what_a_sum_adds_keeps_ranges_of_its_own() -> None:
    """A residual stream behind ReLUs uses all codes, whatever it is added to."""
    graph, (a, b, c) = start(3)
    first = graph.add(Add(Activation.RELU), a, b, name="first")
    graph.set_output("y", graph.add(Add(Activation.RELU), first, c, name="second"))
    seen = {"x": (-1.0, 1.0), "dense0:out": (-5.0, 6.0), "dense1:out": (0.0, 3.0), "dense2:out": (-4.0, 4.1)}
    seen |= {"first:out": (0.0, 7.0), "second:out": (0.0, 9.0)}
    plan = planned(graph, seen.__getitem__)
    for name, (low, high) in seen.items():
        wanted, got = quantization_for(low, high), plan.values[name].quantization
        assert got.zero_point == wanted.zero_point
        assert wanted.scale <= got.scale <= 1.01 * wanted.scale


def test_operands_that_no_small_whole_numbers_relate_share_a_scale() -> None:
    graph, (a, b) = start(2)
    graph.set_output("y", graph.add(Add(), a, b, name="add"))
    for i, x in enumerate((a, b)):  # products want powers of two
        graph.set_output(f"square{i}", graph.add(MatMul(True), x, x))
    plan = planned(graph, lambda name: (-1e-3, 1e-3) if name == "dense0:out" else (-8.0, 8.0))
    left, right, out = (plan.values[f"{name}:out"].quantization for name in ("dense0", "dense1", "add"))
    assert left == right and add_is_safe(left, right, out)


def test_matmul_and_layer_norm_get_powers_of_two() -> None:
    graph, (a, b) = start(2)
    product = graph.add(MatMul(True), a, b, name="matmul")
    scale, offset = (graph.add_constant(np.ones(WIDTH, np.float32), name) for name in ("gamma", "beta"))
    graph.set_output("y", product)
    graph.set_output("z", graph.add(LayerNorm(1, 1e-5), a, scale, offset, name="norm"))
    plan = planned(graph, lambda name: (-1.3, 0.9))
    for name in ("dense0:out", "dense1:out"):
        assert math.frexp(plan.values[name].quantization.scale)[0] == 0.5
    assert plan.values["dense0:out"].quantization.zero_point == 0


@pytest.mark.parametrize("op", [Add(), Sub(), Mul()])
def test_a_result_that_was_nearly_always_0_has_a_scale_that_kernels_are_made_for(op: Any) -> None:
    graph, (a, b) = start(2)
    graph.set_output("y", graph.add(op, a, b, name="both"))
    plan = planned(graph, lambda name: (-1e-6, 1e-6) if name == "both:out" else (-8.0, 8.0))
    before, after = (plan.values[name].quantization.scale for name in ("dense0:out", "both:out"))
    ratio = before * before / after if isinstance(op, Mul) else before / after
    assert ratio <= (130 if isinstance(op, Mul) else SUM_RATIOS[1])


@pytest.mark.parametrize(("low", "high", "whole"), [(-4.1, 6.3, True), (-9.6, 13.3, True), (-40.0, 60.0, False)])
def test_what_hard_swish_reads_has_whole_steps_to_3_where_that_costs_little(
    low: float, high: float, whole: bool
) -> None:
    graph, (a,) = start(1)
    graph.set_output("y", dense(graph, graph.add(HardSwish(), a), np.eye(WIDTH, dtype=np.float32), "l", ""))
    plan = planned(graph, lambda name: (low, high) if name == "dense0:out" else (-0.4, high))
    scale = plan.values["dense0:out"].quantization.scale
    assert (abs(round(3 / scale) * scale - 3) < 1e-6) == whole
    assert scale <= 1.03 * (high - low) / 255


def test_a_value_that_was_always_0_has_a_usual_scale() -> None:
    graph, (a, _) = start(2)
    graph.set_output("y", a)
    plan = planned(graph, lambda name: (0.0, 0.0))
    assert plan.values["dense0:out"].quantization.scale == pytest.approx(IDLE_RANGE / 255)


def test_a_function_that_no_scale_keeps_from_ties_is_told() -> None:
    graph, (a,) = start(1)
    graph.set_output("y", dense(graph, graph.add(Tanh(), a, name="tanh"), np.eye(WIDTH, dtype=np.float32), "l", ""))
    plan = planned(graph, lambda name: (-3.0, 3.0))
    node = next(node for node in graph.nodes if node.name == "tanh")
    of, to = plan.values["dense0:out"].quantization, plan.values["tanh:out"].quantization
    assert unary_margin(unary_function(node), of, to) >= TABLE_MARGIN


class LinearAttention(nn.Module):
    """elu(x) + 1: a function of one code, the constant of which has none."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(8, 8) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k = (nn.functional.elu(layer(x)) + 1 for layer in (self.q, self.k))
        answer: torch.Tensor = q @ (k.transpose(1, 2) @ self.v(x))
        return answer


def test_a_constant_beside_codes_has_no_scale_to_raise() -> None:
    for seed in range(6):
        torch.manual_seed(seed)
        graph = tp.capture(LinearAttention().eval(), torch.randn(2, 7, 8), dynamic={"x": {0: "batch"}})
        samples = np.random.default_rng(seed).normal(size=(64, 7, 8)).astype(np.float32)
        assert tp.quantize(graph, "int8", calibration={"x": samples}).metadata["quantization"]["scheme"] == "int8"
