"""3x3 convolutions in fewer products: the same numbers, also at sizes that 2x2 tiles do not divide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from web_in_wasmtime import FILES, Kernels

from triport.exporter import ops
from triport.exporter.graph import Array, DType, Graph, Sym, TensorType
from triport.exporter.graph.dims import Dim
from triport.exporter.ops import Activation, Layout
from triport.targets.prepare import prepare
from triport.targets.web import WebTarget
from triport.targets.web.plan import Plan
from triport.targets.web.target import make_plan
from triport.targets.web.weights_file import pack_weights

Close = Callable[[Graph, Mapping[str, Array], Mapping[str, Array]], None]
Check = Callable[[Graph, Sequence[Mapping[str, Array]]], None]
Padding = tuple[tuple[int, int], tuple[int, int]]

SAME: Padding = ((1, 1), (1, 1))
CASES: dict[str, tuple[tuple[int, int, int], int, Padding, Activation]] = {
    "even": ((12, 14, 32), 32, SAME, Activation.NONE),
    "odd": ((13, 15, 36), 33, SAME, Activation.RELU6),
    "no padding": ((15, 14, 32), 38, ((0, 0), (0, 0)), Activation.RELU),
    "uneven padding": ((10, 12, 32), 32, ((2, 1), (0, 3)), Activation.NONE),
    "one row": ((3, 130, 32), 40, ((0, 0), (1, 1)), Activation.NONE),
    "one column": ((130, 1, 32), 32, SAME, Activation.NONE),
    "deep": ((12, 11, 68), 36, SAME, Activation.NONE),
}


def graph_of(name: str, *, bias: bool = True, height: Dim | None = None) -> Graph:
    size, filters, padding, activation = CASES[name]
    random = np.random.default_rng(3)
    graph = Graph(name)
    x = graph.add_input("x", TensorType(DType.FLOAT32, (Sym.named("batch"), height or size[0], *size[1:])))
    shapes = [(filters, 3, 3, size[2]), (filters,)][: 2 if bias else 1]
    constants = [
        graph.add_constant(random.standard_normal(shape).astype(np.float32), f"c{i}") for i, shape in enumerate(shapes)
    ]
    op = ops.Conv((1, 1), padding, (1, 1), 1, Layout.CHANNELS_LAST, activation)
    graph.set_output("y", graph.add(op, x, *constants))
    return graph


def plan_of(graph: Graph) -> Plan:
    return make_plan(prepare(graph, WebTarget()))


@pytest.fixture(scope="module", params=FILES)
def kernels(request: pytest.FixtureRequest) -> Kernels:
    return Kernels(request.param)


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_those_of_a_direct_sum(name: str, kernels: Kernels, close: Close) -> None:
    graph = graph_of(name)
    assert plan_of(graph).kernels() == ("winograd", "winograd_filters")
    for batch in (1, 2):
        x = {"x": np.random.default_rng(batch).uniform(-3, 3, (batch, *CASES[name][0])).astype(np.float32)}
        close(graph, x, kernels.run(graph, x))


def test_free_height_and_no_bias(kernels: Kernels, close: Close) -> None:
    graph = graph_of("even", bias=False, height=Sym.named("height"))
    assert "winograd" in plan_of(graph).kernels()
    for height in (1, 6, 9):
        x = {"x": np.random.default_rng(height).uniform(-3, 3, (2, height, 14, 32)).astype(np.float32)}
        close(graph, x, kernels.run(graph, x))


def test_nan_and_infinity_reach_every_cell_that_looks_at_them(kernels: Kernels) -> None:
    graph = graph_of("even")
    for value in (np.nan, np.inf):
        x = np.ones((1, 12, 14, 32), np.float32)
        x[0, 5, 6, 7] = value
        y = kernels.run(graph, {"x": x})["y"]
        assert not np.isfinite(y[0, 4:7, 5:8]).any()
        assert np.isfinite(y[0, [2, 8]]).all() and np.isfinite(y[0, :, [3, 9]]).all()


def test_the_file_holds_the_filters_once_and_in_their_own_size() -> None:
    plan = plan_of(graph_of("even"))
    parts, file = pack_weights(plan)
    assert parts["file"] == len(file) == len(plan.weights) == 4 * (32 * 9 * 32 + 32)
    assert parts["bytes"] == len(file) + 4 * 32 * 16 * 32
    assert [call[0] for call in parts["made"]] == ["winograd_filters"]


def test_a_filter_that_two_layers_share_is_transformed_once() -> None:
    graph = graph_of("even")
    node = graph.nodes[0]
    graph.set_output("z", graph.add(node.op, node.output, *node.inputs[1:]))
    plan = plan_of(graph)
    assert [call.kernel for call in plan.calls] == ["winograd", "winograd"] and len(plan.made) == 1


@pytest.mark.parametrize(
    ("channels", "filters", "size", "stride"),
    [(31, 32, 20, 1), (32, 31, 20, 1), (34, 32, 20, 1), (32, 32, 11, 1), (32, 32, 40, 2)],
)
def test_few_channels_few_pixels_and_strides_are_summed_directly(
    channels: int, filters: int, size: int, stride: int
) -> None:
    graph = Graph("near")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (1, size, size, channels)))
    weight = graph.add_constant(np.ones((filters, 3, 3, channels), np.float32), "w")
    graph.set_output("y", graph.add(ops.Conv((stride, stride), SAME, (1, 1), 1, Layout.CHANNELS_LAST), x, weight))
    assert plan_of(graph).kernels() == ("conv2d",)


def test_in_node_too(check_in_node: Check) -> None:
    graph = graph_of("odd")
    x = [np.random.default_rng(n).uniform(-3, 3, (n, *CASES["odd"][0])).astype(np.float32) for n in (1, 2, 1)]
    check_in_node(graph, [{"x": array} for array in x])
