"""What ports are compared with."""

from __future__ import annotations

import numpy as np
import pytest
from small_graphs import BATCH, convnet, perceptron, root_of_a_product

from triport.exporter.graph import DType, Graph, TensorType
from triport.exporter.ops import Add, Exp, Sub
from triport.runtime_checks.samples import Case, generated_cases, golden_cases
from triport.runtime_checks.truth import (
    GOLDEN,
    REFERENCE,
    first_not_finite,
    make_truth,
    truth_by_golden,
    truth_by_reference,
)


def test_generated_cases_are_judged_in_float64_and_golden_ones_by_what_was_recorded() -> None:
    graph = convnet()
    truth = make_truth(graph, [])
    assert truth is not None
    assert truth.source == REFERENCE
    by_label = {case.label: case for case in truth.cases}
    assert by_label["batch 7"].outputs["scores"].dtype == np.float64
    assert by_label["golden 1"].outputs["scores"] is graph.samples[0].outputs["scores"]


def test_the_span_is_pooled_over_all_cases_and_outputs() -> None:
    graph = perceptron()
    cases = generated_cases(graph)
    outputs = np.concatenate([case.outputs["y"].astype(float) for case in truth_by_reference(graph, cases).cases])
    limit = truth_by_reference(graph, cases).limits["y"]
    assert limit.span == pytest.approx(float(np.ptp(outputs)))
    assert limit.bound >= 1e-5 * limit.span
    assert 0 < limit.float32_error < 1e-5
    assert limit.golden_bound == limit.bound + limit.float32_error


def test_not_a_number_is_traced_to_the_first_layer_that_makes_it() -> None:
    x = np.array([[1, 2, -3, 4]], np.float32)
    truth = truth_by_reference(root_of_a_product(), [Case("fine", {"x": abs(x)}), Case("bad", {"x": x})])
    assert truth.not_finite is not None
    assert str(truth.not_finite).endswith('on bad: first in sqrt "root" (root.py:4, layer "root")')
    assert truth.limits["y"].span == pytest.approx(np.sqrt(8) - np.sqrt(2))


def test_an_overflow_that_becomes_nan_further_on_is_named_where_it_began() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 2)))
    large = graph.add(Exp(), x, name="overflow")
    graph.set_output("y", graph.add(Sub(), large, large, name="difference"))
    found = first_not_finite(graph, Case("large", {"x": np.array([[1, 1000]], np.float32)}))
    assert found is not None
    assert found.node == 'exp "overflow"'


def test_a_mask_of_infinities_is_not_taken_for_the_cause() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 2)))
    mask = graph.add_constant(np.full(2, -np.inf, np.float32), "mask")
    masked = graph.add(Add(), x, mask, name="masked")
    graph.set_output("y", graph.add(Sub(), masked, masked, name="difference"))
    found = first_not_finite(graph, Case("any", {"x": np.zeros((1, 2), np.float32)}))
    assert found is not None
    assert found.node == 'sub "difference"'


def test_finite_outputs_leave_no_note() -> None:
    assert truth_by_reference(perceptron(), generated_cases(perceptron())).not_finite is None


def test_where_float32_overflows_a_port_must_overflow_too() -> None:
    graph = root_of_a_product()
    x = np.array([[3e38, 1, 1, 1]], np.float32)
    (case,) = truth_by_reference(graph, [Case("large", {"x": x})]).cases
    assert np.isinf(case.outputs["y"][0, 0])


def test_golden_samples_alone_give_a_truth() -> None:
    graph = convnet()
    truth = truth_by_golden({"scores": DType.FLOAT32}, golden_cases(graph.samples))
    assert truth.source == GOLDEN
    span = float(np.ptp(np.stack([sample.outputs["scores"] for sample in graph.samples])))
    assert truth.limits["scores"].bound == pytest.approx(1e-5 * span)
