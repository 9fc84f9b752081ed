"""What calibration refuses, and what it tells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from small_graphs import BATCH, convnet, dense, perceptron

from triport.exporter.errors import ModelError, UsageError
from triport.exporter.graph import Array, DType, Graph, Source, TensorType
from triport.exporter.ops import Add, Conv, Div, LayerNorm, Mul, Sqrt, Sub
from triport.quantize import Plan, make_plan, quantize

IMAGES = np.random.default_rng(0).normal(0, 1, (40, 1, 8, 8)).astype(np.float32)
ROWS = np.random.default_rng(1).normal(0, 1, (40, 4)).astype(np.float32)


def with_cell(value: float, sample: int = 37) -> Array:
    images = IMAGES.copy()
    images[sample, 0, 1, 2] = value
    return images


def with_weight(value: float, place: tuple[int, ...] | slice = (1, 0, 0, 0)) -> Graph:
    """`convnet` with another number in the weight of its convolution."""
    graph = convnet()
    (node,) = (node for node in graph.nodes if isinstance(node.op, Conv))
    node.inputs[1].array()[place] = value
    return graph


def nothing() -> Iterator[dict[str, Array]]:
    yield from ()


@pytest.mark.parametrize(
    ("calibration", "code", "told"),
    [
        (None, "TP051", "needs samples"),
        ({"image": IMAGES[:0]}, "TP051", "no samples"),
        (nothing(), "TP051", "no samples"),
        ({"image": IMAGES[:, :, :5]}, "TP002", "[40, 1, 5, 8], the input is float32[batch, 1, 8, 8]"),
        ({"image": IMAGES[0]}, "TP002", "[1, 8, 8]"),
        ({"image": IMAGES.astype(np.int32)}, "TP003", "are int32, the input is float32"),
        ({"picture": IMAGES}, "TP004", '"picture" is no input, and nothing is given for "image"'),
        ({"image": IMAGES, "more": IMAGES}, "TP004", '"more" is no input'),
        ({}, "TP004", 'nothing is given for "image"'),
        ([1, 2], "TP004", "an int was given"),
        ({"image": with_cell(np.nan)}, "TP051", '"image" are not finite: sample 37 has 1 NaN and 0 infinite of 64'),
        ({"image": with_cell(-np.inf, 0)}, "TP051", "sample 0 has 0 NaN and 1 infinite"),
        ({"image": np.full((40, 1, 8, 8), 3, np.float32)}, "TP051", 'in 40 samples every cell of "image" is 3'),
        ({"image": np.zeros((1, 1, 8, 8), np.float32)}, "TP051", "constant"),
        ("missing.npz", "TP001", "missing.npz does not exist"),
    ],
)
def test_data_that_give_no_ranges_are_refused(calibration: Any, code: str, told: str) -> None:
    with pytest.raises(UsageError) as raised:
        make_plan(convnet(), calibration=calibration)
    assert raised.value.code == code
    assert told in str(raised.value)
    assert raised.value.help


@pytest.mark.parametrize(
    "options",
    [{"scheme": "int3"}, {"observer": "median"}, {"io": "int4"}, {"keep_float": "nobody*"}, {"recover": "luck"}],
)
def test_options_that_mean_nothing_are_refused_with_those_that_do(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as raised:
        quantize(convnet(), calibration={"image": IMAGES}, **options)
    assert raised.value.code == "TP050"
    assert raised.value.help and next(iter(options.values())) in str(raised.value)


def test_a_quantized_graph_is_not_quantized_again() -> None:
    with pytest.raises(UsageError) as raised:
        quantize(quantize(convnet(), calibration={"image": IMAGES}), calibration={"image": IMAGES})
    assert raised.value.code == "TP054"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(value: float) -> None:
    with pytest.raises(ModelError, match=r"1 of the 36 numbers in stem\.weight") as raised:
        quantize(with_weight(value), calibration={"image": IMAGES})
    assert (raised.value.code, raised.value.at) == ("TP130", 'model.py:41, layer "stem"')


def test_an_inner_value_that_is_no_number_is_told_with_its_layer_and_samples() -> None:
    graph = Graph("root")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 4)))
    y = dense(graph, x, np.eye(4, dtype=np.float32), "first", "net.py:3")
    y = graph.add(Sqrt(), y, name="root", source=Source("root", "net.py:4"))
    graph.set_output("y", dense(graph, y, np.eye(4, dtype=np.float32), "last", "net.py:5"))
    rows = np.abs(ROWS)
    rows[21, 0] = -1
    with pytest.raises(
        UsageError, match=r'"root:out" becomes NaN or infinite on calibration samples 16 to 23'
    ) as raised:
        quantize(graph, calibration=rows)
    assert (raised.value.code, raised.value.at) == ("TP051", 'net.py:4, layer "root"')


# -- what is only told -------------------------------------------------------------------------------------------------


def notices(graph: Graph, calibration: Any, **options: Any) -> list[str]:
    """Those of the plan, which the quantized graph carries too."""
    plan = make_plan(graph, calibration=calibration, **options)
    assert list(quantize(graph, plan=plan).notices) == plan.notices
    assert Plan.from_json(plan.to_json()).notices == plan.notices
    return plan.notices


def test_usual_data_are_not_remarked_upon() -> None:
    assert notices(convnet(), {"image": IMAGES}) == []
    assert notices(perceptron(), ROWS) == []


@pytest.mark.parametrize("count", [1, 31])
def test_few_samples_are_told(count: int) -> None:
    (notice,) = notices(convnet(), {"image": IMAGES[:count]})
    assert f"{count} calibration sample" in notice and "from 32 on" in notice


def test_the_same_sample_over_and_over_is_told() -> None:
    (notice,) = notices(convnet(), {"image": np.repeat(IMAGES[:1], 40, 0)})
    assert "all 40 calibration samples are the same one" in notice


@pytest.mark.parametrize(("factor", "low"), [(128.0, "-499.1"), (1 / 255, "-0.01529")])
def test_data_far_from_the_recorded_samples_are_told_with_both_ranges(factor: float, low: str) -> None:
    (notice,) = notices(convnet(), {"image": IMAGES * np.float32(factor)})
    assert f"span {low} … " in notice and "recorded with the model -2.516 … 2.487" in notice
    assert "normalised twice" in notice


def rescaling(*steps: tuple[Any, Any]) -> Graph:
    """x [batch, 4] → steps with numbers, as Rescaling and Normalization have them → linear"""
    graph = Graph("rescaling")
    y = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 4)))
    for i, (op, number) in enumerate(steps):
        y = graph.add(
            op, y, graph.add_constant(np.asarray(number, np.float32), f"n{i}"), source=Source("rescaling", "n.py")
        )
    graph.set_output("y", dense(graph, y, np.eye(4, dtype=np.float32), "dense", "net.py:1"))
    return graph


BYTES = np.random.default_rng(2).integers(0, 256, (40, 4)).astype(np.float32)
BYTES[0] = 0, 255, 0, 255
PIXELS = ((Mul(), 1 / 255),), ((Mul(), 2 / 255), (Sub(), 1.0)), ((Sub(), [120.0, 130, 125, 128]), (Div(), [60.0] * 4))


@pytest.mark.parametrize("steps", PIXELS)
def test_data_that_the_model_rescales_are_taken_as_they_are(steps: tuple[tuple[Any, Any], ...]) -> None:
    assert notices(rescaling(*steps), BYTES) == []


@pytest.mark.parametrize(
    ("steps", "made"), [*zip(PIXELS, ("0 … 0.003922", "-1 … -0.9922", "-2.166 … -1.983"), strict=True)]
)
def test_data_that_are_rescaled_before_the_model_does_are_told(steps: tuple[tuple[Any, Any], ...], made: str) -> None:
    (notice,) = notices(rescaling(*steps), BYTES / np.float32(255))
    assert f"of the model makes {made} of them" in notice
    assert 'look rescaled already, and the model does it again: they span 0 … 1, and "rescaling"' in notice


def test_data_far_larger_than_the_model_expects_are_told() -> None:
    (notice,) = notices(rescaling((Mul(), 1 / 255)), BYTES * np.float32(256))
    assert "far larger than the model expects: they span 0 … 6.528e+04" in notice


def test_values_that_saturate_are_told_with_their_share() -> None:
    plan = make_plan(convnet(), calibration={"image": IMAGES})
    images = np.random.default_rng(3).normal(0, 1, (400, 1, 8, 8)).astype(np.float32)
    images[::16] *= 50  # a few batches alone: the mean of their extremes leaves them outside
    told = notices(convnet(), {"image": images}, observer="moving-average")
    assert plan.notices == []
    assert any("saturate" in notice and '"image" (' in notice for notice in told)


def test_one_weight_that_leaves_the_others_no_codes_is_told_and_computes() -> None:
    graph = with_weight(1e6)
    (notice,) = notices(graph, {"image": IMAGES})
    assert 'one large weight rounds nearly all others to 0: 1 of 4 in "stem" (up to 1e+06)' in notice
    assert all(
        np.isfinite(a).all() for a in quantize(graph, calibration={"image": IMAGES}).run({"image": IMAGES}).values()
    )


def test_filters_of_zeros_stay_zeros() -> None:
    for place in (slice(1, 2), slice(None)):
        graph = with_weight(0.0, place)
        quantized = quantize(graph, calibration={"image": IMAGES})
        scales = [value.quantization.scale for n in quantized.nodes for value in n.outputs if value.quantization]
        assert all(1e-12 < scale < 1e12 for scale in scales)
        (node,) = (node for node in quantized.nodes if node.name == "stem")
        assert not node.inputs[1].array()[place].any()
        exact, got = (made.run({"image": IMAGES})["scores"].astype(np.float32) for made in (graph, quantized))
        assert np.abs(exact - got).max() < 0.05


def test_values_that_were_always_0_are_told() -> None:
    graph = Graph("idle")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 4)))
    first = dense(graph, x, np.eye(4, dtype=np.float32), "first", "net.py:1")
    idle = dense(graph, x, np.zeros((4, 4), np.float32), "idle", "net.py:2")
    graph.set_output("y", graph.add(Add(), first, idle, name="sum"))
    assert notices(graph, ROWS) == ['calibration saw nothing but 0 in "idle:out": their scales are a guess']


def test_outputs_that_stay_float_at_an_integer_border_are_told() -> None:
    (notice,) = notices(convnet(), {"image": IMAGES}, io="int8", keep_float="softmax")
    assert '"scores"' in notice and "float32 at the border" in notice


def test_no_float_node_is_without_a_reason() -> None:
    graph = Graph("mixed")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 2048)))
    y = dense(graph, x, np.ones((2048, 2048), np.float32) / 2048, "wide", "net.py:1")
    gamma, beta = (graph.add_constant(np.ones(2048, np.float32), name) for name in ("gamma", "beta"))
    graph.set_output("y", graph.add(LayerNorm(1, 1e-5), y, gamma, beta, name="norm"))
    rows = np.random.default_rng(0).normal(0, 1, (33, 2048)).astype(np.float32)
    plan = make_plan(graph, calibration=rows)
    assert plan.reasons() == {"sums of squares are exact for up to 1040 cells": ["norm"]}
    assert quantize(graph, plan=plan).metadata["quantization"] == {
        "scheme": "int8",
        "io": "float32",
        "nodes": {"int8": 1, "float": 1},
        "float": [["sums of squares are exact for up to 1040 cells", ["norm"]]],
    }
