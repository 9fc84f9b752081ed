"""3x3 convolutions of codes in fewer products: the codes of a direct sum, whatever the numbers."""

from __future__ import annotations

import numpy as np
import pytest
from web_in_wasmtime import FILES, Kernels

from triport.exporter.graph import Array, DType, Graph, Quantization, Sym, TensorType
from triport.exporter.ops import Activation, Layout, QuantizedConv
from triport.exporter.reference import run_graph
from triport.targets.prepare import prepare
from triport.targets.web import WebTarget
from triport.targets.web.target import make_plan

Padding = tuple[tuple[int, int], tuple[int, int]]

SAME: Padding = ((1, 1), (1, 1))
SIZES: dict[str, tuple[tuple[int, int, int], int, Padding]] = {
    "even": ((12, 14, 32), 32, SAME),
    "odd": ((13, 15, 40), 33, SAME),
    "no padding": ((14, 13, 32), 45, ((0, 0), (0, 0))),
    "uneven padding": ((10, 12, 32), 36, ((2, 0), (0, 3))),
    "one row": ((3, 130, 32), 32, ((0, 0), (1, 1))),
    "deep": ((12, 11, 72), 32, SAME),
}


@pytest.fixture(scope="module", params=FILES)
def kernels(request: pytest.FixtureRequest) -> Kernels:
    return Kernels(request.param)


def graph_of(
    shape: tuple[int, int, int],
    weight: Array,
    bias: Array,
    padding: Padding = SAME,
    zero_point: int = -7,
    activation: Activation = Activation.NONE,
) -> Graph:
    depth = weight.shape[3]
    of = Quantization(float(np.float32(0.0217)), zero_point)
    to = Quantization(float(np.float32(0.0217 * 0.003 * 70 * (9 * depth) ** 0.5)), 5)
    graph = Graph("quantized")
    x = graph.add_input("x", TensorType(DType.INT8, (Sym.named("batch"), *shape), of))
    scale = np.random.default_rng(2).uniform(0.002, 0.004, len(weight)).astype(np.float32)
    op = QuantizedConv((1, 1), padding, (1, 1), 1, Layout.CHANNELS_LAST, activation, of=of, to=to)
    graph.set_output("y", graph.add(op, x, *(graph.add_constant(array) for array in (weight, scale, bias))))
    return graph


def random_graph(name: str, zero_point: int = -7, activation: Activation = Activation.NONE) -> Graph:
    size, filters, padding = SIZES[name]
    rng = np.random.default_rng(1)
    weight = rng.integers(-128, 128, (filters, 3, 3, size[2])).astype(np.int8)
    bias = rng.integers(-9000, 9000, filters).astype(np.int32)
    return graph_of(size, weight, bias, padding, zero_point, activation)


def kernels_of(graph: Graph) -> tuple[str, ...]:
    return make_plan(prepare(graph, WebTarget())).kernels()


def check(kernels: Kernels, graph: Graph, x: Array) -> Array:
    expected = run_graph(graph, {"x": x})["y"]
    np.testing.assert_array_equal(kernels.run(graph, {"x": x})["y"], expected)
    return expected


@pytest.mark.parametrize("name", SIZES)
def test_codes_are_those_of_a_direct_sum(name: str, kernels: Kernels) -> None:
    graph = random_graph(name)
    assert kernels_of(graph) == ("q_winograd", "q_winograd_filters")
    x = np.random.default_rng(5).integers(-128, 128, (2, *SIZES[name][0])).astype(np.int8)
    assert len(np.unique(check(kernels, graph, x))) > 50


@pytest.mark.parametrize("zero_point", [-128, 0, 127])
def test_every_zero_point(zero_point: int, kernels: Kernels) -> None:
    graph = random_graph("odd", zero_point, Activation.RELU)
    x = np.random.default_rng(6).integers(-128, 128, (1, *SIZES["odd"][0])).astype(np.int8)
    check(kernels, graph, x)


def test_the_largest_codes_and_weights_stay_exact(kernels: Kernels) -> None:
    """All products at their bound and of one sign, or of alternating ones: what the transforms make largest."""
    for pattern in (1, -1):
        signs = np.where(np.indices((3, 3)).sum(0) % 2, pattern, 1)[None, :, :, None]
        weight = np.broadcast_to(127 * signs, (32, 3, 3, 256)).astype(np.int8)
        graph = graph_of((12, 12, 256), weight, np.zeros(32, np.int32), zero_point=-128)
        assert "q_winograd" in kernels_of(graph)
        board = np.where(np.indices((12, 12)).sum(0) % 2, 127, -128 if pattern < 0 else 127)
        check(kernels, graph, np.broadcast_to(board[None, :, :, None], (1, 12, 12, 256)).astype(np.int8))


def test_sums_that_a_quarter_of_32_bits_does_not_hold_are_direct() -> None:
    weight = np.full((32, 3, 3, 1856), 127, np.int8)
    assert kernels_of(graph_of((12, 12, 1856), weight, np.zeros(32, np.int32), zero_point=-128)) == ("q_conv2d",)
    assert "q_winograd" in kernels_of(graph_of((12, 12, 1856), weight // 2, np.zeros(32, np.int32), zero_point=-128))


def test_channels_that_are_no_whole_vectors_are_direct() -> None:
    weight = np.ones((32, 3, 3, 36), np.int8)
    assert kernels_of(graph_of((12, 12, 36), weight, np.zeros(32, np.int32))) == ("q_conv2d",)
