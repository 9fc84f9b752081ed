"""Filters whose neighbours fit in 16 bits: what they cost, and that ONNX files hold them as int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triport.exporter.errors import UsageError
from triport.exporter.graph import DType, Graph, Sym, TensorType
from triport.exporter.ops import Conv, ConvTranspose, Layout, Linear, QuantizedConv, Relu
from triport.exporter.reference import run_graph
from triport.quantize import quantize
from triport.quantize.weights import Filters, cut_pairs, quantized_filters
from triport.quantize.writer import cut_to_pairs
from triport.runtime_checks.parity import same_bits
from triport.runtime_checks.runners import get_runner
from triport.targets.onnx import OnnxTarget
from triport.targets.pairs import LARGEST_PAIR, fits_in_pairs, from_kernel_order, in_kernel_order, neighbours
from triport.targets.prepare import prepare

unhurried = settings(max_examples=100, deadline=None, derandomize=True)


def _sums(codes: np.ndarray[tuple[int, ...], np.dtype[np.int8]]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    even, odd = neighbours(codes.astype(np.int64))
    sums: np.ndarray[tuple[int, ...], np.dtype[np.int64]] = np.abs(even + odd)
    return sums


@unhurried
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.floats(0.5, 8.0))
def test_pairs_fit_at_little_cost(seed: int, cells: int, heavy: float) -> None:
    """At worst two weights of one size are neighbours, and both lose half of their resolution."""
    random = np.random.default_rng(seed)
    weight = (random.normal(size=(7, cells)) * np.abs(random.normal(size=(7, cells))) ** heavy).astype(np.float32)
    full = quantized_filters(weight, None, 0.1, 0.1)
    made = quantized_filters(weight, None, 0.1, 0.1, pairs=True)
    assert _sums(made.codes).max() <= LARGEST_PAIR
    assert ((made.scale >= full.scale) & (made.scale <= full.scale * np.float32(2))).all()
    error = np.abs(made.codes * made.scale[:, None].astype(np.float64) - weight).max(1)
    assert (error <= made.scale * (0.5 + (made.scale < full.scale * 1.999) * LARGEST_PAIR / 2)).all()


def test_pairs_that_fit_anyway_are_as_without() -> None:
    weight = np.array([[1.0, -1.0, 0.004, 0.9, -0.7]], np.float32)
    full, made = (quantized_filters(weight, None, 0.1, 0.1, pairs=pairs) for pairs in (False, True))
    assert same_bits(full.codes, made.codes) and same_bits(full.scale, made.scale)


def test_a_pair_beyond_loses_on_both_sides() -> None:
    codes = np.array([[127, 127, -127, -4, 127, -127, 9]], np.int8)
    assert cut_pairs(codes).tolist() == [[64, 64, -125, -3, 127, -127, 9]]


@pytest.mark.parametrize("layout", Layout)
def test_the_kernels_order_has_channels_innermost(layout: Layout) -> None:
    """[filter, channel, row, column] = [2, 3, 1, 2]"""
    weight = np.arange(12).reshape(2, 3, 1, 2)
    stored = weight if layout is Layout.CHANNELS_FIRST else np.moveaxis(weight, 1, -1)
    op = Conv((1, 1), ((0, 0), (0, 0)), (1, 1), 1, layout)
    rows = in_kernel_order(op, stored)
    assert rows.tolist() == [[0, 2, 4, 1, 3, 5], [6, 8, 10, 7, 9, 11]]
    assert from_kernel_order(op, rows, stored.shape).tolist() == stored.tolist()


def test_what_saturates_is_found() -> None:
    linear = Linear()
    assert fits_in_pairs(linear, np.array([[127, 1, 127, -127]], np.int8), 4)
    assert not fits_in_pairs(linear, np.array([[127, 2]], np.int8), 2)
    assert not fits_in_pairs(linear, np.array([[0, 0, -65, -64]], np.int8), 4)
    assert fits_in_pairs(linear, np.array([[0, 127, 127]], np.int8), 3)  # neighbours, but of two pairs
    depthwise = Conv((1, 1), ((0, 0), (0, 0)), (1, 1), 2)
    assert fits_in_pairs(depthwise, np.full((2, 1, 3, 3), 127, np.int8), 2)
    assert not fits_in_pairs(depthwise, np.full((4, 1, 3, 3), 127, np.int8), 2)


def _network() -> Graph:
    graph, random = Graph(), np.random.default_rng(0)

    def constant(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return random.normal(0, 0.2, shape).astype(np.float32)

    x = graph.add_input("x", TensorType(DType.FLOAT32, (Sym.named("batch"), 3, 8, 8)))
    padding = ((1, 1), (1, 1))
    for shape, groups in (((16, 3, 3, 3), 1), ((16, 1, 3, 3), 16), ((12, 8, 1, 1), 2)):
        around = padding if shape[2] == 3 else ((0, 0), (0, 0))
        conv = Conv((1, 1), around, (1, 1), groups)
        x = graph.add(
            Relu(), graph.add(conv, x, graph.add_constant(constant(*shape)), graph.add_constant(constant(shape[0])))
        )
    graph.set_output("y", graph.add(Linear(), x, graph.add_constant(constant(5, 8)), graph.add_constant(constant(5))))
    return graph


def test_codes_chosen_in_another_way_are_cut_to_pairs() -> None:
    random = np.random.default_rng(0)
    for node in _network().nodes:
        if not isinstance(node.op, Conv | Linear):
            continue
        codes = random.integers(-127, 128, node.inputs[1].array().shape).astype(np.int8)
        made = Filters(codes, np.ones(len(codes), np.float32), np.zeros(len(codes), np.int32))
        channels = codes.shape[1] * getattr(node.op, "groups", 1)
        cut = cut_to_pairs(node.op, made, channels)
        assert fits_in_pairs(node.op, cut.codes, channels)
        assert cut_to_pairs(node.op, cut, channels) is cut


def test_paired_weights_are_int8_in_the_file_and_answer_the_same(tmp_path: Path) -> None:
    samples = {"x": np.random.default_rng(1).normal(size=(64, 3, 8, 8)).astype(np.float32)}
    types: dict[str, set[int]] = {}
    for weights in ("full", "paired"):
        quantized = quantize(_network(), calibration=samples, weights=weights)
        path = tmp_path / f"{weights}.onnx"
        target = OnnxTarget()
        target.write(prepare(quantized, target), path, {})
        model = onnx.load(path).graph
        stored = {tensor.name: tensor.data_type for tensor in model.initializer}
        multiplied = [node for node in model.node if node.op_type in ("QLinearConv", "QGemm")]
        types[weights] = {stored[node.input[3]] for node in multiplied}
        with get_runner("onnxruntime").load(path) as session:
            assert same_bits(session.run(samples)["y"], run_graph(quantized, samples)["y"])
    assert types == {"full": {onnx.TensorProto.UINT8, onnx.TensorProto.INT8}, "paired": {onnx.TensorProto.INT8}}


@pytest.mark.parametrize(("layout", "recover"), [(layout, r) for layout in Layout for r in ("", "bias")])
def test_transposed_convolutions_are_paired_too(layout: Layout, recover: str) -> None:
    graph, random = Graph(), np.random.default_rng(0)
    first = layout is Layout.CHANNELS_FIRST
    x = graph.add_input("x", TensorType(DType.FLOAT32, (Sym.named("batch"), *((4, 6, 6) if first else (6, 6, 4)))))
    weight = random.normal(0, 0.2, (4, 5, 3, 3) if first else (5, 3, 3, 4)).astype(np.float32)
    op = ConvTranspose((2, 1), ((0, 0), (1, 1)), (1, 1), 1, layout)
    graph.set_output("y", graph.add(op, x, graph.add_constant(weight)))
    samples = {"x": random.normal(size=(64, *((4, 6, 6) if first else (6, 6, 4)))).astype(np.float32)}
    fits = {}
    for weights in ("full", "paired"):
        quantized = quantize(graph, calibration=samples, weights=weights, recover=recover or ())
        ((conv, codes),) = ((n.op, n.inputs[1].array()) for n in quantized.nodes if isinstance(n.op, QuantizedConv))
        fits[weights] = fits_in_pairs(conv, codes, 4)
    assert fits == {"full": False, "paired": True}


def test_unknown_weights_are_refused() -> None:
    with pytest.raises(UsageError) as refused:
        quantize(_network(), calibration={"x": np.zeros((64, 3, 8, 8), np.float32)}, weights="halved")
    assert refused.value.code == "TP050" and "paired" in str(refused.value)
