"""Sums and their norms as one kernel call."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from web_in_wasmtime import FILES, Kernels

from triport.exporter.graph import Array, DType, Graph, Sym, TensorType, Value
from triport.exporter.ops import Add, Exp, LayerNorm, Mul
from triport.targets.prepare import prepare
from triport.targets.web import WebTarget
from triport.targets.web.target import make_plan

RNG = np.random.default_rng(0)
Build = Callable[[Graph, Value, Value], None]


def graph_of(build: Build, width: int = 7) -> Graph:
    graph = Graph("sum and norm")
    a, b = (graph.add_input(name, TensorType(DType.FLOAT32, (Sym.named("batch"), 3, width))) for name in "ab")
    build(graph, a, b)
    return graph


def norm(graph: Graph, x: Value) -> Value:
    return graph.add(LayerNorm(1, 1e-5), x, row(graph, x), row(graph, x))


def row(graph: Graph, x: Value) -> Value:
    """A constant as long as a row of x."""
    width = x.type.shape[-1]
    assert isinstance(width, int)
    return graph.add_constant(RNG.standard_normal(width).astype(np.float32))


def after(graph: Graph, a: Value, b: Value) -> None:
    graph.set_output("y", norm(graph, graph.add(Add(), a, b)))


def before(graph: Graph, a: Value, b: Value) -> None:
    """The sum goes on, past the norm."""
    total = graph.add(Add(), graph.add(Exp(), a), b)
    graph.set_output("y", graph.add(Mul(), total, norm(graph, total)))
    graph.set_output("total", total)


def twice(graph: Graph, a: Value, b: Value) -> None:
    total = graph.add(Add(), a, b)
    graph.set_output("y", norm(graph, graph.add(Add(), total, norm(graph, total))))


def read_before(graph: Graph, a: Value, b: Value) -> None:
    total = graph.add(Add(), a, b)
    other = graph.add(Exp(), total)
    graph.set_output("y", graph.add(Mul(), other, norm(graph, total)))


def broadcast(graph: Graph, a: Value, b: Value) -> None:
    graph.set_output("y", graph.add(Add(), norm(graph, graph.add(Add(), a, row(graph, a))), b))


def kernels_of(graph: Graph) -> list[str]:
    return [call.kernel for call in make_plan(prepare(graph, WebTarget())).calls]


@pytest.fixture(scope="module")
def both() -> list[Kernels]:
    return [Kernels(file) for file in FILES]


def check(graph: Graph, both: list[Kernels], width: int = 7) -> None:
    for batch in (1, 2):
        inputs: dict[str, Array] = {name: RNG.standard_normal((batch, 3, width)).astype(np.float32) for name in "ab"}
        expected = graph.run(inputs)
        for kernels in both:
            for name, got in kernels.run(graph, inputs).items():
                assert np.abs(np.asarray(got, np.float64) - np.asarray(expected[name], np.float64)).max() < 2e-5


@pytest.mark.parametrize("width", [1, 7, 12])
@pytest.mark.parametrize("build", [after, before, twice])
def test_a_sum_and_its_norm_are_one_call(build: Build, width: int, both: list[Kernels]) -> None:
    graph = graph_of(build, width)
    ran = kernels_of(graph)
    assert "add_layer_norm" in ran and not {"add", "layer_norm"} & set(ran)
    check(graph, both, width)


@pytest.mark.parametrize("build", [read_before, broadcast])
def test_a_sum_that_is_read_earlier_or_that_repeats_a_row_stands_alone(build: Build, both: list[Kernels]) -> None:
    graph = graph_of(build)
    assert {"add", "layer_norm"} <= set(kernels_of(graph))
    check(graph, both)
