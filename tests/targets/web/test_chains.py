"""Elementwise nodes in one loop: the same bits as their own kernels give, fewer calls, and what stays as it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chain_networks import BLOCKS
from torch import nn
from web_in_wasmtime import FILES, Kernels

import triport as tp
from triport.exporter.graph import Array, Dim, DType, Graph, Sym, TensorType, Value
from triport.exporter.ops import (
    Abs,
    Activation,
    Add,
    BatchNorm,
    Cast,
    Ceil,
    Clamp,
    Div,
    Elu,
    Equal,
    Erf,
    Exp,
    Expm1,
    Floor,
    Gelu,
    HardSigmoid,
    HardSwish,
    LayerNorm,
    LeakyRelu,
    Less,
    LessEqual,
    Log,
    Log1p,
    LogicalAnd,
    LogicalNot,
    LogicalOr,
    LogicalXor,
    Maximum,
    Minimum,
    Mish,
    Mul,
    Neg,
    OpAttrs,
    Pow,
    PRelu,
    Relu,
    Round,
    Rsqrt,
    Selu,
    Sigmoid,
    Sign,
    Silu,
    Sin,
    Softplus,
    Softsign,
    Sqrt,
    Sub,
    Tanh,
    Trunc,
    Where,
)
from triport.runtime_checks.runners import Node
from triport.targets.prepare import prepare
from triport.targets.web import WebTarget
from triport.targets.web.plan import Plan
from triport.targets.web.target import make_plan

UNARY: Sequence[OpAttrs] = (
    *(op() for op in (Abs, Ceil, Erf, Exp, Expm1, Floor, Log, Log1p, Neg, Round, Rsqrt, Sign, Sqrt, Trunc)),
    *(op() for op in (HardSigmoid, HardSwish, Mish, Relu, Selu, Sigmoid, Silu, Softplus, Softsign, Tanh)),
    *(Clamp(-0.5, 1.5), Elu(0.7), Gelu(False), Gelu(True), LeakyRelu(0.1)),
)
BINARY: Sequence[OpAttrs] = (
    *(op() for op in (Add, Sub, Mul, Div, Maximum, Minimum, PRelu)),
    *(Add(Activation.RELU), Mul(Activation.RELU6)),
)
COMPARISONS: Sequence[OpAttrs] = (Equal(), Less(), LessEqual())
LOGIC: Sequence[OpAttrs] = (LogicalAnd(), LogicalOr(), LogicalXor())
EXPONENTS = (2.0, 3.0, 0.5, -0.5, -1.0)

AWKWARD = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, 3e38, -3e38, 88.8, -104.0, 1.0, -1.0], np.float32)

BATCH = Sym.named("batch")


@pytest.fixture(scope="module")
def both() -> list[Kernels]:
    return [Kernels(file) for file in FILES]


def graph_of(build: Callable[..., Value], *shapes: Sequence[Dim]) -> Graph:
    graph = Graph("chain")
    inputs = [graph.add_input(f"x{i}", TensorType(DType.FLOAT32, tuple(shape))) for i, shape in enumerate(shapes)]
    graph.set_output("y", build(graph, *inputs))
    return graph


def plan_of(graph: Graph, *, chained: bool = True) -> Plan:
    return make_plan(prepare(graph, WebTarget()), chained=chained)


def kernels_of(graph: Graph) -> list[str]:
    return [call.kernel for call in plan_of(graph).calls]


def cells(rng: np.random.Generator, shape: Sequence[int], dtype: DType = DType.FLOAT32) -> Array:
    """Numbers around 0, some of them awkward; or bools."""
    if dtype is DType.BOOL:
        return rng.random(shape) < 0.5
    if dtype is not DType.FLOAT32:
        least, most = {DType.UINT8: (0, 255), DType.INT8: (-128, 127)}.get(dtype, (-(2**31), 2**31 - 1))
        return rng.integers(least, most, shape, endpoint=True).astype(dtype.numpy)
    found = rng.normal(0, 2, shape).astype(np.float32)
    return np.where(rng.random(shape) < 0.2, rng.choice(AWKWARD, shape), found)


def check_bits(graph: Graph, both: list[Kernels], batches: Sequence[int] = (1, 3), seed: int = 0) -> None:
    """Chained and not, on both files. The bits of a NaN say which operand it came from: no kernel promises that."""
    rng = np.random.default_rng(seed)
    for batch in batches:
        inputs: dict[str, Array] = {}
        for value in graph.inputs:
            shape = [size if isinstance(size, int) else batch for size in value.type.shape]
            inputs[value.name] = cells(rng, shape, value.type.dtype)
        for kernels in both:
            with np.errstate(all="ignore"):
                expected, got = kernels.run(graph, inputs, chained=False)["y"], kernels.run(graph, inputs)["y"]
            assert np.array_equal(np.isnan(expected), np.isnan(got))
            there = ~np.isnan(expected)
            assert np.array_equal(expected[there].view(np.uint32), got[there].view(np.uint32))


@pytest.mark.parametrize("op", UNARY, ids=lambda op: f"{op}")
def test_a_function_in_a_chain_has_the_bits_of_its_kernel(op: OpAttrs, both: list[Kernels]) -> None:
    graph = graph_of(lambda graph, x: graph.add(Neg(), graph.add(op, x)), (BATCH, 67))
    assert kernels_of(graph) == ["chain0"]
    check_bits(graph, both)


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_a_power_that_has_a_kernel_is_in_chains(exponent: float, both: list[Kernels]) -> None:
    def build(graph: Graph, x: Value) -> Value:
        return graph.add(Neg(), graph.add(Pow(), x, graph.add_constant(np.array([exponent], np.float32))))

    graph = graph_of(build, (BATCH, 67))
    assert kernels_of(graph) == ["chain0"]
    check_bits(graph, both)


# -- chains made at random ------------------------------------------------------------------------------------------


def operand_shapes(columns: int) -> Sequence[Sequence[Dim]]:
    """Ways to broadcast to [batch, 5, columns]."""
    return (BATCH, 5, columns), (columns,), (BATCH, 5, 1), (1,), (BATCH, 1, 1), (5, 1), (BATCH, 1, columns)


def random_chain(seed: int) -> Graph:
    """A dozen nodes over [batch, 5, columns]; results that nobody reads are added to the last one."""
    rng = np.random.default_rng(seed)
    columns = int(rng.choice(range(1, 38)))
    graph = Graph("random")
    shapes = operand_shapes(columns)
    picked = [shapes[0], *(shapes[i] for i in rng.integers(0, len(shapes), 3))]
    floats = [graph.add_input(f"x{i}", TensorType(DType.FLOAT32, tuple(shape))) for i, shape in enumerate(picked)]
    floats.append(graph.add_constant(cells(rng, (columns,))))
    floats.append(graph.add_constant(np.array([0.5], np.float32)))
    full = (BATCH, 5, columns)
    bools = [graph.add_input("mask", TensorType(DType.BOOL, full if rng.random() < 0.5 else (columns,)))]

    def any_of(values: list[Value]) -> Value:
        return values[int(rng.integers(0, len(values)))]

    def an(ops: Sequence[OpAttrs]) -> OpAttrs:
        return ops[int(rng.integers(0, len(ops)))]

    for _ in range(12):
        kind = rng.random()
        if kind < 0.4:
            floats.append(graph.add(an(UNARY), any_of(floats)))
        elif kind < 0.75:
            floats.append(graph.add(an(BINARY), any_of(floats), any_of(floats)))
        elif kind < 0.85:
            bools.append(graph.add(an(COMPARISONS), any_of(floats), any_of(floats)))
        elif kind < 0.9:
            negated = graph.add(LogicalNot(), any_of(bools))
            bools.append(graph.add(an(LOGIC), negated, any_of(bools)))
        elif kind < 0.95:
            floats.append(graph.add(Where(), any_of(bools), any_of(floats), any_of(floats)))
        else:
            floats.append(graph.add(Cast(DType.FLOAT32), any_of(bools)))
    total = floats[0]
    for value in floats[1:]:
        if not value.users:
            total = graph.add(Add(), total, value)
    for value in bools:
        if not value.users:
            total = graph.add(Where(), value, total, floats[1])
    graph.set_output("y", total)
    return graph


@pytest.mark.parametrize("seed", range(24))
def test_chains_of_any_nodes_and_broadcasts_have_the_bits_of_single_kernels(seed: int, both: list[Kernels]) -> None:
    graph = random_chain(seed)
    assert "chain0" in kernels_of(graph)
    check_bits(graph, both, batches=(1, 4), seed=seed)


@pytest.mark.parametrize("columns", range(1, 10))
def test_rows_that_are_put_together_keep_their_bits(columns: int, both: list[Kernels]) -> None:
    """Images whose pixels are [columns] numbers: a row of 3 alone leaves a quarter of each vector empty."""

    def build(graph: Graph, x: Value) -> Value:
        rng = np.random.default_rng(columns)
        mean, scale = (graph.add_constant(rng.normal(size=columns).astype(np.float32)) for _ in range(2))
        return graph.add(Div(), graph.add(Sub(), x, mean), scale)

    graph = graph_of(build, (BATCH, 8, 16, columns))
    plan = plan_of(graph)
    (chain,) = plan.chains
    assert chain.even and [call.kernel for call in plan.calls] == ["chain0"]
    check_bits(graph, both)


def test_rows_of_several_constants_are_put_together(both: list[Kernels]) -> None:
    """Sizes of three anchors, each for 64 cells: the constants differ along an axis before the one that is repeated."""

    def build(graph: Graph, x: Value) -> Value:
        sizes = graph.add_constant(np.arange(1, 7, dtype=np.float32).reshape(3, 1, 2))
        return graph.add(Mul(), graph.add(Exp(), x), sizes)

    graph = graph_of(build, (BATCH, 3, 64, 2))
    plan = plan_of(graph)
    (chain,) = plan.chains
    assert chain.even and [call.kernel for call in plan.calls] == ["chain0"]
    check_bits(graph, both)


@pytest.mark.parametrize("dtype", [DType.UINT8, DType.INT8, DType.INT32, DType.INT64, DType.BOOL])
def test_whole_numbers_become_floats_in_the_chain(dtype: DType, both: list[Kernels]) -> None:
    """Pixels of bytes, or indices; bools are 0 and 1."""
    graph = Graph("whole numbers")
    shape = (BATCH, 5, 7)
    one, other = (graph.add(Cast(DType.FLOAT32), graph.add_input(f"x{i}", TensorType(dtype, shape))) for i in range(2))
    graph.set_output("y", graph.add(Sub(), graph.add(Mul(), one, row(graph, 7)), other))
    assert kernels_of(graph) == ["chain0"]
    check_bits(graph, both)


# -- which nodes ----------------------------------------------------------------------------------------------------


def test_networks_take_fewer_calls() -> None:
    calls = {}
    for name, block in BLOCKS.items():
        graph = tp.capture(block.build().eval(), block.examples())
        calls[name] = [len(plan_of(graph, chained=chained).calls) for chained in (False, True)]
    assert calls == {
        "rotary attention, gated layer": [40, 31],
        "ConvNeXt": [14, 14],
        "squeeze and excite, swish": [24, 18],
        "pixels by mean and deviation": [7, 4],
        "GELU written out": [12, 5],
        "group norm, swish": [37, 29],
        "activations alone": [11, 1],
    }


def test_a_node_alone_keeps_its_kernel() -> None:
    assert kernels_of(graph_of(lambda graph, x: graph.add(Exp(), x), (BATCH, 4))) == ["exp"]
    assert kernels_of(graph_of(lambda graph, x: graph.add(PRelu(), x, row(graph, 4)), (BATCH, 4))) == ["prelu"]


def test_a_batch_norm_alone_is_one_call(both: list[Kernels]) -> None:
    def build(graph: Graph, x: Value) -> Value:
        return graph.add(BatchNorm(1e-3, 1), x, *(row(graph, 6) for _ in range(4)))

    graph = graph_of(build, (BATCH, 6, 3, 3))
    assert "chain0" in kernels_of(graph) and not {"mul", "add"} & set(kernels_of(graph))
    check_bits(graph, both)


def test_a_value_that_others_read_is_in_memory(both: list[Kernels]) -> None:
    def read_twice(graph: Graph, x: Value) -> Value:
        y = graph.add(Exp(), x)
        graph.set_output("also", y)
        return graph.add(Neg(), y)

    def outside(graph: Graph, x: Value) -> Value:
        y = graph.add(Exp(), x)
        return graph.add(Mul(), graph.add(Neg(), y), graph.add(Sin(), y))

    assert kernels_of(graph_of(read_twice, (BATCH, 4))) == ["exp", "neg"]
    graph = graph_of(outside, (BATCH, 4))
    assert kernels_of(graph) == ["exp", "sin", "chain0"]
    check_bits(graph, both)


def test_rows_too_short_for_a_vector_keep_their_kernels() -> None:
    """Pairs of coordinates: half of each vector would be computed for nothing."""

    def build(graph: Graph, x: Value, origin: Value) -> Value:
        return graph.add(Sub(), graph.add(Sigmoid(), x), origin)

    assert kernels_of(graph_of(build, (BATCH, 5, 2), (BATCH, 1, 2))) == ["sigmoid", "sub"]
    assert kernels_of(graph_of(build, (BATCH, 5, 2), (BATCH, 5, 2))) == ["chain0"]


def test_what_is_computed_of_fewer_cells_is_computed_once() -> None:
    """The gate of a row is no part of the chain over the row."""

    def build(graph: Graph, x: Value, gate: Value) -> Value:
        return graph.add(Neg(), graph.add(Mul(), x, graph.add(Sigmoid(), gate)))

    assert kernels_of(graph_of(build, (BATCH, 5, 8), (BATCH, 1, 8))) == ["sigmoid", "chain0"]


def test_a_sum_stays_with_its_norm() -> None:
    def build(graph: Graph, x: Value, y: Value) -> Value:
        total = graph.add(Add(), graph.add(Mul(), graph.add(Exp(), x), y), y)
        return graph.add(LayerNorm(1, 1e-5), total, row(graph, 8), row(graph, 8))

    assert kernels_of(graph_of(build, (BATCH, 5, 8), (BATCH, 5, 8))) == ["chain0", "add_layer_norm"]


def test_a_long_sum_is_several_chains(both: list[Kernels]) -> None:
    def build(graph: Graph, *inputs: Value) -> Value:
        total = inputs[0]
        for value in inputs[1:]:
            total = graph.add(Add(), total, value)
        return total

    graph = graph_of(build, *[(BATCH, 4)] * 24)
    assert kernels_of(graph) == ["chain0", "chain1", "chain1"]
    check_bits(graph, both)


def row(graph: Graph, size: int) -> Value:
    rng = np.random.default_rng(size)
    return graph.add_constant(rng.random(size).astype(np.float32) + 0.5)


# -- what is written for them ---------------------------------------------------------------------------------------


def twice(graph: Graph, x: Value) -> Value:
    """Swish twice, which takes one function, with a kernel between that is in no chain."""
    for _ in range(2):
        x = graph.add(Sin(), graph.add(Mul(), x, graph.add(Sigmoid(), x)))
    return x


def test_equal_chains_are_one_function() -> None:
    graph = graph_of(twice, (BATCH, 3, 7))
    assert kernels_of(graph) == ["chain0", "sin", "chain0", "sin"]
    assert len(plan_of(graph).chains) == 1


def test_a_chain_writes_over_an_operand_that_dies() -> None:
    plan = plan_of(graph_of(twice, (BATCH, 3, 7)))
    assert len(plan.buffers) == 1


class LooksAtTheRest(nn.Module):
    """A sum over all rows but the first, of which there may be none, beside what was computed before."""

    def forward(self, x: torch.Tensor, gate: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        kept = torch.cos(torch.sin(u)[:900])
        rest = torch.abs(torch.exp(x[1:]) * gate)
        return torch.cat([kept, rest.sum((1, 2))])


@pytest.mark.parametrize("columns", [4, 5])
def test_a_chain_over_no_cells_writes_nothing(columns: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    inputs = [torch.randn(3, columns), torch.randn(2000, 1, 1), torch.randn(1000)]
    graph = tp.capture(LooksAtTheRest(), inputs, dynamic={"x": {0: "n"}})
    assert plan_of(graph).chains
    target = WebTarget()
    target.write(prepare(graph, target), tmp_path / "web", {})
    with Node().load(tmp_path / "web") as session:
        for rows in (3, 1):
            given = {"x": inputs[0][:rows].numpy(), "gate": inputs[1].numpy(), "u": inputs[2].numpy()}
            got: Any = next(iter(session.run(given).values()))
            told = LooksAtTheRest()(inputs[0][:rows], *inputs[1:]).numpy()
            np.testing.assert_allclose(got, told, rtol=1e-5, atol=1e-6)


def test_whole_numbers_of_64_bits_are_read_as_pages_have_them(both: list[Kernels]) -> None:
    graph = Graph("whole")
    x = graph.add_input("x", TensorType(DType.INT64, (BATCH, 4)))
    graph.set_output("y", graph.add(Neg(), graph.add(Abs(), graph.add(Cast(DType.FLOAT32), x))))
    given = {"x": np.array([[1, -2, 3, 4]], np.int64)}
    for kernels in both:
        np.testing.assert_array_equal(kernels.run(graph, given)["y"], [[-1, -2, -3, -4]])


def test_repeated_constants_stay_small() -> None:
    """Rows of two cells beside 122 others: put together 61 times, a constant of 8 kB would take half a megabyte."""
    graph = Graph("tiled")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (1, 1000, 122, 2)))
    mean, scale = (graph.add_constant(np.arange(2000, dtype=np.float32).reshape(1000, 1, 2) + i) for i in range(2))
    graph.set_output("y", graph.add(Mul(), graph.add(Sub(), x, mean), scale))
    assert len(plan_of(graph).weights) < 2 * 8_000 + 4_096
