"""Quantized kernels of both files: each code is that of the reference, at every size that is awkward for them."""

from __future__ import annotations

import numpy as np
import pytest
from cases.case import OpCase
from cases.quantized import CASES
from web_in_wasmtime import FILES, Kernels

from triport.exporter.errors import ModelError
from triport.exporter.graph import Array, Dim, DType, Graph, Quantization, Sym, TensorType
from triport.exporter.ops import Layout, OpAttrs, QuantizedConv, QuantizedLinear, QuantizedMatMul, QuantizedSoftmax
from triport.exporter.ops.quantized import multiplier
from triport.exporter.reference import run_graph
from triport.targets.prepare import prepare
from triport.targets.web import WebTarget
from triport.targets.web.ops.quantized import BAND_CELLS, ROW_CELLS
from triport.targets.web.target import make_plan

LAST = Layout.CHANNELS_LAST
BATCH, HEIGHT, WIDTH = (Sym.named(name) for name in ("batch", "height", "width"))
OF = Quantization(float(np.float32(0.0217)), -7)


@pytest.fixture(scope="module", params=FILES)
def kernels(request: pytest.FixtureRequest) -> Kernels:
    return Kernels(request.param)


def codes(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)


def filters(weight: tuple[int, ...], seed: int = 1) -> list[Array]:
    """Weight, scales and bias of filters along the first axis."""
    rng = np.random.default_rng(seed)
    scale = rng.uniform(0.001, 0.004, weight[0]).astype(np.float32)
    return [codes(seed, *weight), scale, rng.integers(-9000, 9000, weight[0]).astype(np.int32)]


def filled(taps: int) -> Quantization:
    """Codes that sums of so many products fill."""
    return Quantization(float(np.float32(OF.scale * 0.0025 * 70 * taps**0.5)), 5)


def graph_of(op: OpAttrs, shape: tuple[Dim, ...], *constants: Array) -> Graph:
    graph = Graph()
    x = graph.add_input("x", TensorType(DType.INT8, shape, OF))
    graph.set_output("y", graph.add(op, x, *(graph.add_constant(array) for array in constants)))
    return graph


def same_codes(kernels: Kernels, graph: Graph, **inputs: Array) -> None:
    expected = run_graph(graph, inputs)
    got = kernels.run(graph, inputs)
    for name, array in expected.items():
        assert got[name].dtype == array.dtype
        np.testing.assert_array_equal(got[name], array)
    assert any(len(np.unique(array)) > 50 for array in expected.values()), "the case says too little"


@pytest.mark.parametrize("case", [case for case in CASES if "web" not in case.refused], ids=lambda case: case.name)
def test_both_files_answer_as_the_reference(case: OpCase, kernels: Kernels) -> None:
    graph, inputs = case.graph(), case.inputs(2)
    expected = run_graph(graph, inputs)
    for name, array in kernels.run(graph, inputs).items():
        if array.dtype == np.float32:
            np.testing.assert_allclose(np.asarray(array, np.float64), np.asarray(expected[name], np.float64), rtol=1e-6)
        else:
            np.testing.assert_array_equal(array, expected[name])


def test_every_sum_becomes_the_code_of_the_formula(kernels: Kernels) -> None:
    """Weights of 0 leave the bias: sums over all of int32, and factors of which many sums are ties."""
    rng = np.random.default_rng(3)
    count = 60000
    near, far = rng.integers(-2000, 2000, count // 2), rng.integers(-(2**31), 2**31, count // 2)
    bias = np.concatenate([near, far]).astype(np.int32)
    scale = np.concatenate(
        [rng.choice([0.5, 0.25, 0.125, 1.0, 0.1], count // 2), 10 ** rng.uniform(-9, 1, count // 2)]
    ).astype(np.float32)
    of, to = Quantization(1.0, 3), Quantization(1.0, -11)
    graph = Graph()
    x = graph.add_input("x", TensorType(DType.INT8, (1, 1), of))
    constants = (graph.add_constant(array) for array in (np.zeros((count, 1), np.int8), scale, bias))
    graph.set_output("y", graph.add(QuantizedLinear(of=of, to=to), x, *constants))
    steps = np.rint(
        np.asarray(bias.astype(np.float32) * np.asarray(multiplier(1.0, scale, 1.0), np.float32))
    ) + np.float32(-11)
    got = kernels.run(graph, {"x": np.zeros((1, 1), np.int8)})["y"]
    np.testing.assert_array_equal(got[0], np.clip(steps, -128, 127).astype(np.int8))


@pytest.mark.parametrize("rows", [1, 5, 6, 7, 23])
@pytest.mark.parametrize(("depth", "columns"), [(1, 1), (2, 8), (17, 9), (63, 23)])
def test_linear_layers_of_any_size(rows: int, depth: int, columns: int, kernels: Kernels) -> None:
    graph = graph_of(QuantizedLinear(of=OF, to=filled(depth)), (BATCH, depth), *filters((columns, depth)))
    expected = run_graph(graph, {"x": codes(rows, rows, depth)})
    np.testing.assert_array_equal(kernels.run(graph, {"x": codes(rows, rows, depth)})["y"], expected["y"])


@pytest.mark.parametrize("batch", [BATCH, 700])
def test_more_rows_than_the_scratch_holds(batch: Dim, kernels: Kernels) -> None:
    assert ROW_CELLS < 700 * 41
    graph = graph_of(QuantizedLinear(of=OF, to=filled(41)), (batch, 41), *filters((11, 41)))
    same_codes(kernels, graph, x=codes(2, 700, 41))


def test_rows_that_are_longer_than_the_scratch(kernels: Kernels) -> None:
    depth = ROW_CELLS + 3
    graph = graph_of(QuantizedLinear(of=OF, to=filled(depth)), (BATCH, depth), *filters((9, depth)))
    same_codes(kernels, graph, x=codes(2, 8, depth))


@pytest.mark.parametrize("groups", [1, 20], ids=["conv", "depthwise"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("free", [False, True], ids=["known", "free"])
def test_images_of_several_bands(free: bool, stride: int, groups: int, kernels: Kernels) -> None:
    height, width, channels = 67, 59, 20
    assert height * width * channels > BAND_CELLS
    op = QuantizedConv(
        (stride, stride),
        ((1, 1), (0, 2)),
        (1, 1),
        groups,
        LAST,
        of=OF,
        to=filled(9 * channels // groups),
    )
    size: tuple[Dim, ...] = (BATCH, HEIGHT, WIDTH) if free else (BATCH, height, width)
    graph = graph_of(op, (*size, channels), *filters((channels, 3, 3, channels // groups)))
    same_codes(kernels, graph, x=codes(5, 2, height, width, channels))


def test_windows_that_see_nothing_but_padding(kernels: Kernels) -> None:
    op = QuantizedConv((1, 1), ((4, 4), (5, 5)), (2, 2), 1, LAST, of=OF, to=filled(18))
    graph = graph_of(op, (BATCH, 2, 3, 2), *filters((19, 3, 3, 2)))
    same_codes(kernels, graph, x=codes(6, 3, 2, 3, 2))


@pytest.mark.parametrize(
    ("size", "window", "stride", "padding", "dilation"),
    [
        ((7, 7), (7, 7), (1, 1), ((0, 0), (0, 0)), (1, 1)),
        ((9, 6), (3, 2), (2, 2), ((1, 0), (0, 1)), (1, 1)),
        ((9, 11), (2, 3), (1, 2), ((3, 3), (2, 5)), (2, 3)),
        ((1, 300), (1, 300), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ],
    ids=["whole image", "odd edges", "windows in the padding", "more than an int16 holds"],
)
def test_means(
    size: tuple[int, int],
    window: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[tuple[int, int], tuple[int, int]],
    dilation: tuple[int, int],
    kernels: Kernels,
) -> None:
    """Weights of 1 have a kernel of their own, which stores no weights."""
    channels, taps = 19, window[0] * window[1]
    to = Quantization(float(np.float32(OF.scale * 2 / taps**0.5)), 5)
    constants = np.ones((channels, *window, 1), np.int8), np.full(channels, 1 / taps, np.float32)
    op = QuantizedConv(stride, padding, dilation, channels, LAST, of=OF, to=to)
    graph = graph_of(op, (BATCH, *size, channels), *constants, np.arange(channels, dtype=np.int32))
    assert len(make_plan(prepare(graph, WebTarget())).weights) < 300
    x = codes(9, 5, *size, channels)
    x[0] = -128
    same_codes(kernels, graph, x=x)


def test_matrices_that_are_larger_than_the_scratch(kernels: Kernels) -> None:
    rows, depth, columns = 320, 43, 21
    op = QuantizedMatMul(of=(OF, OF), to=Quantization(0.25, 3))
    graph = Graph()
    a = graph.add_input("a", TensorType(DType.INT8, (BATCH, rows, depth), OF))
    b = graph.add_input("b", TensorType(DType.INT8, (1, depth, columns), OF))
    graph.set_output("y", graph.add(op, a, b))
    assert rows * depth > ROW_CELLS
    same_codes(kernels, graph, a=codes(7, 2, rows, depth), b=codes(8, 1, depth, columns))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("rows", "depth", "columns"), [(1, 1, 1), (3, 9, 8), (5, 8, 17), (6, 15, 9), (9, 33, 24)])
def test_products_of_activations_of_any_size(
    rows: int, depth: int, columns: int, transposed: bool, kernels: Kernels
) -> None:
    op = QuantizedMatMul(transposed, of=(OF, OF), to=Quantization(0.125, 3))
    graph = Graph()
    a = graph.add_input("a", TensorType(DType.INT8, (BATCH, rows, depth), OF))
    size = (columns, depth) if transposed else (depth, columns)
    b = graph.add_input("b", TensorType(DType.INT8, (BATCH, *size), OF))
    graph.set_output("y", graph.add(op, a, b))
    inputs = {"a": codes(rows, 3, rows, depth), "b": codes(depth, 3, *size)}
    np.testing.assert_array_equal(kernels.run(graph, inputs)["y"], run_graph(graph, inputs)["y"])


@pytest.mark.parametrize(("length", "inner"), [(1, 1), (7, 1), (8, 3), (19, 1), (64, 1), (13, 5)])
@pytest.mark.parametrize("coded", [True, False], ids=["codes", "floats"])
def test_softmax_of_any_length(coded: bool, length: int, inner: int, kernels: Kernels) -> None:
    table = np.rint(np.exp(-np.arange(256) * OF.scale) * 2**14).astype(np.float32)
    op = QuantizedSoftmax(1, OF, Quantization(1 / 256, -128) if coded else None)
    graph = graph_of(op, (BATCH, length, inner), table)
    x = codes(length, 4, length, inner)
    np.testing.assert_array_equal(kernels.run(graph, {"x": x})["y"], run_graph(graph, {"x": x})["y"])


def test_sums_beyond_32_bits_are_refused() -> None:
    depth = 2**31 // (127 * 134) + 1
    constants = np.full((1, depth), 127, np.int8), np.ones(1, np.float32), np.zeros(1, np.int32)
    op = QuantizedLinear(of=OF, to=OF)
    with pytest.raises(ModelError, match="32 bits") as refused:
        prepare(graph_of(op, (BATCH, depth), *constants), WebTarget())
    assert refused.value.code == "TP102"
    fitting = (constants[0][:, :-2], *constants[1:])
    prepare(graph_of(op, (BATCH, depth - 2), *fitting), WebTarget())


def test_weights_that_are_computed_are_refused() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType(DType.INT8, (BATCH, 4), OF))
    weight = graph.add_input("weight", TensorType(DType.INT8, (3, 4)))
    rest = (graph.add_constant(np.ones(3, np.float32)), graph.add_constant(np.zeros(3, np.int32)))
    graph.set_output("y", graph.add(QuantizedLinear(of=OF, to=OF), x, weight, *rest))
    with pytest.raises(ModelError, match="weight is computed"):
        prepare(graph, WebTarget())
