from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from passes.build import Builder, assert_same_numbers, count, fires, labels, leaves_alone
from passes.test_decompose_arithmetic import CASES as ARITHMETIC

from triport.exporter.graph import DType, Graph, Node, Quantization, TensorType
from triport.exporter.graph.verify import verify
from triport.exporter.ops import (
    REGISTRY,
    Activation,
    Add,
    AveragePool,
    BatchNorm,
    Cast,
    Clamp,
    Elu,
    Exp,
    HardSigmoid,
    HardSwish,
    LayerNorm,
    Layout,
    Linear,
    LogSoftmax,
    MatMul,
    MaxPool,
    Mish,
    Mul,
    OpAttrs,
    PRelu,
    QuantizedMatMul,
    Relu,
    Rsqrt,
    Selu,
    Silu,
    Slice,
    Softplus,
    Softsign,
)
from triport.exporter.passes.decompose import can_decompose, decompose
from triport.exporter.reference import run_graph

PLAIN: list[OpAttrs] = [
    Mish(),
    Softplus(),
    Softsign(),
    Silu(),
    HardSigmoid(),
    HardSwish(),
    Elu(0.7),
    Selu(),
    Clamp(-0.5, 1.0),
    Clamp(minimum=-0.5),
    Clamp(maximum=0.5),
    LogSoftmax(1),
]


def _graph(op: OpAttrs) -> Graph:
    b = Builder()
    if isinstance(op, BatchNorm):
        return b.done(b.batch_norm(b.input(5, 4), op.axis, name="layer"))
    if isinstance(op, Rsqrt):
        return b.done(b.add(op, b.add(Exp(), b.input(5, 4)), name="layer"))
    return b.done(b.add(op, b.input(5, 4), name="layer"))


CASES = [*PLAIN, Rsqrt(), LayerNorm(2, 1e-3), BatchNorm(1e-3, 1), BatchNorm(1e-3, 2)]


@pytest.mark.parametrize("op", CASES, ids=repr)
def test_what_stands_for_an_op_computes_the_same_under_its_name(op: OpAttrs) -> None:
    after = fires(decompose(lambda node: False), _graph(op))
    assert not {type(node.op) for node in after.nodes} & {t for t in REGISTRY.values() if can_decompose(t)}
    assert after.nodes[-1].name == "layer"
    assert all(node.name.startswith("layer/") for node in after.nodes[:-1] if node.source.layer == "layer")
    assert "~" not in str(after)


@pytest.mark.parametrize("op", CASES, ids=repr)
def test_float32_loses_no_more_than_a_few_roundings(op: OpAttrs) -> None:
    before = _graph(op)
    after = before.copy()
    decompose(lambda node: False)(after)
    x = {"x": np.linspace(-9, 9, 60, dtype=np.float32).reshape(3, 5, 4)}
    exact, got = (run_graph(graph, x)["y"].astype(np.float64) for graph in (before, after))
    span = float(np.ptp(exact))
    np.testing.assert_allclose(got, exact, rtol=2e-6, atol=1e-6 * span)


def test_every_decomposition_has_a_case() -> None:
    assert {t for t in REGISTRY.values() if can_decompose(t)} == {
        *(type(op) for op in [*CASES, *(op for op, _ in ARITHMETIC)]),
        *(AveragePool, Cast, Linear, MatMul, MaxPool, PRelu, QuantizedMatMul),  # below
    }


@pytest.mark.parametrize(("mean", "ops"), [(20.0, ["mul", "add"]), (1000.0, ["sub", "mul", "add"])])
def test_batch_norm_subtracts_the_mean_first_only_where_that_keeps_digits(mean: float, ops: list[str]) -> None:
    b = Builder()
    channels = [np.full(4, number, np.float32) for number in (0.7, 0.1, mean, 1.0)]
    x = b.input(5, 4)
    y = b.add(BatchNorm(0.0, 2), x, *(b.graph.add_constant(c, f"c{i}") for i, c in enumerate(channels)), name="layer")
    after = fires(decompose(lambda node: False), b.done(y))
    assert labels(after) == ops
    given = {"x": mean + np.linspace(-3, 3, 60, dtype=np.float32).reshape(3, 5, 4)}
    exact = (given["x"].astype(np.float64) - mean) * 0.7 + 0.1
    assert np.abs(run_graph(after, given)["y"].astype(np.float64) - exact).max() < 2e-6


@pytest.mark.parametrize("activation", Activation)
@pytest.mark.parametrize("bias", [False, True])
def test_linear_with_a_computed_weight_is_a_product(activation: Activation, bias: bool) -> None:
    b = Builder()
    weight = b.graph.add_input("w", b.constant(3, 6).type)
    y = b.add(Linear(activation), b.input(5, 6), weight, *([b.constant(3)] if bias else []), name="layer")
    after = fires(decompose(lambda node: not isinstance(node.op, Linear)), b.done(y))
    assert labels(after)[0] == "mat_mul" and after.nodes[-1].name == "layer"


@pytest.mark.parametrize("rank", [2, 3])
def test_a_product_with_a_transposed_operand_is_a_transpose_and_a_product(rank: int) -> None:
    b = Builder()
    other = b.graph.add_input("w", b.constant(*(2, 3, 6)[-rank:]).type)
    y = b.add(MatMul(transpose_b=True), b.input(5, 6) if rank == 2 else b.input(2, 5, 6), other, name="layer")
    after = fires(decompose(lambda node: node.op == MatMul()), b.done(y))
    assert labels(after) == ["transpose", "mat_mul"] and after.nodes[-1].name == "layer"


def test_a_product_of_codes_keeps_what_they_stand_for() -> None:
    b = Builder(DType.INT8)
    of, to = Quantization(0.5, 3), Quantization(2.0, -9)
    q, k = (b.graph.add_input(name, TensorType(DType.INT8, (2, 5, 6), of)) for name in "qk")
    op = QuantizedMatMul(transpose_b=True, of=(of, of), to=to)
    after = fires(decompose(lambda node: node.op == replace(op, transpose_b=False)), b.done(b.add(op, q, k)))
    assert labels(after) == ["transpose", "quantized_mat_mul"] and after.nodes[-1].output.quantization == to


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("dilation", [(2, 1), (1, 3), (2, 2)])
def test_dilated_max_pool_is_the_largest_of_slices(layout: Layout, dilation: tuple[int, int]) -> None:
    b = Builder()
    x = b.input(3, 9, 8) if layout is Layout.CHANNELS_FIRST else b.input(9, 8, 3)
    y = b.add(MaxPool((3, 2), (2, 1), ((1, 0), (0, 1)), dilation, layout), x, name="layer")

    def spells(node: Node) -> bool:
        return not isinstance(node.op, MaxPool) or set(node.op.dilation) == {1}

    after = fires(decompose(spells), b.done(y))
    assert count(after, Slice) and after.nodes[-1].name == "layer"


@pytest.mark.parametrize("layout", Layout)
def test_average_pool_is_a_sum_of_slices(layout: Layout) -> None:
    b = Builder()
    x = b.input(3, 9, 8) if layout is Layout.CHANNELS_FIRST else b.input(9, 8, 3)
    pool = AveragePool((3, 2), (2, 1), ((0, 0), (0, 0)), (1, 1), layout=layout)
    after = fires(decompose(lambda node: not isinstance(node.op, AveragePool)), b.done(b.add(pool, x, name="layer")))
    assert set(labels(after)) == {"slice", "add", "mul"} and after.nodes[-1].name == "layer"


def test_average_pool_with_padding_stays() -> None:
    b = Builder()
    pool = AveragePool((3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    leaves_alone(decompose(lambda node: not isinstance(node.op, AveragePool)), b.done(b.add(pool, b.input(3, 9, 8))))


def test_a_cast_that_a_target_lacks_goes_by_way_of_int32() -> None:
    b = Builder()
    y = b.add(Cast(DType.INT8), b.input(4, 5), name="layer")

    def spells(node: Node) -> bool:
        return DType.INT32 in (node.inputs[0].type.dtype, node.output.type.dtype)

    after = fires(decompose(spells), b.done(y))
    assert [node.op for node in after.nodes] == [Cast(DType.INT32), Cast(DType.INT8)]
    b = Builder()
    leaves_alone(decompose(lambda node: False), b.done(b.add(Cast(DType.INT32), b.input(4, 5))))


def test_prelu_is_two_halves() -> None:
    b = Builder()
    y = b.add(PRelu(), b.input(4, 5), b.constant(4, 1), name="layer")
    after = fires(decompose(lambda node: not isinstance(node.op, PRelu)), b.done(y))
    assert sorted(labels(after)) == ["add", "minimum", "mul", "relu"]


def test_layer_norm_with_parameters() -> None:
    b = Builder()
    y = b.add(LayerNorm(1, 1e-5), b.input(6), b.constant(6), b.constant(6))
    fires(decompose(lambda node: False), b.done(y))


def test_softplus_does_not_overflow() -> None:
    graph = _graph(Softplus())
    decompose(lambda node: False)(graph)
    x = np.full((1, 5, 4), 200, np.float32)
    np.testing.assert_array_equal(run_graph(graph, {"x": x})["y"], x)


def test_a_clamp_without_bounds_is_nothing() -> None:
    b = Builder()
    graph = b.done(b.add(Relu(), b.add(Clamp(-math.inf, math.inf), b.input(4))))
    after = graph.copy()
    assert decompose(lambda node: False)(after)
    verify(after)
    assert_same_numbers(graph, after)
    assert labels(after) == ["relu"]


def test_ops_that_the_target_spells_stay() -> None:
    b = Builder()
    leaves_alone(decompose(lambda node: True), b.done(b.add(Mish(), b.input(4))))


def test_a_decomposition_stops_at_what_the_target_spells() -> None:
    b = Builder()
    graph = b.done(b.add(HardSwish(), b.input(4), name="act"))
    after = fires(decompose(lambda node: isinstance(node.op, HardSigmoid)), graph)
    assert [(node.name, node.op.name) for node in after.nodes] == [("act/hard_sigmoid", "hard_sigmoid"), ("act", "mul")]


def test_ops_without_a_decomposition_stay() -> None:
    b = Builder()
    leaves_alone(decompose(lambda node: False), b.done(b.add(Mul(), b.add(Add(), b.input(4), 1.0), 2.0)))
