"""Small graphs for the passes, and what every pass has to leave true."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from triport.exporter.graph import Array, DType, Graph, Source, Sym, TensorType, Value
from triport.exporter.graph.verify import verify
from triport.exporter.ops import Activation, BatchNorm, Conv, Layout, Linear, OpAttrs
from triport.exporter.passes.base import Pass
from triport.exporter.passes.pipeline import legalise
from triport.exporter.reference import run_graph

BATCH = Sym.named("batch")
TO_LAST = (0, 2, 3, 1)
TO_FIRST = (0, 3, 1, 2)


class Builder:
    """A graph under construction, with constants drawn from one seeded generator.

    dtype   of inputs and constants; in float64 no pass rounds a weight to less
    """

    def __init__(self, dtype: DType = DType.FLOAT32) -> None:
        self.dtype = dtype
        self.graph = Graph()
        self.random = np.random.default_rng(0)

    def input(self, *shape: int, name: str = "x", dtype: DType | None = None) -> Value:
        """[batch, *shape]"""
        return self.graph.add_input(name, TensorType(dtype or self.dtype, (BATCH, *shape)))

    def constant(self, *shape: int, low: float = -1.0, high: float = 1.0, name: str = "constant") -> Value:
        return self.graph.add_constant(self.random.uniform(low, high, shape).astype(self.dtype.numpy), name)

    def add(self, op: OpAttrs, *inputs: Value | float, name: str = "") -> Value:
        operands = [
            v if isinstance(v, Value) else self.graph.add_constant(np.asarray(v, self.dtype.numpy)) for v in inputs
        ]
        return self.graph.add(op, *operands, name=name, source=Source(name))

    def conv(
        self,
        x: Value,
        outputs: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        padding: int | None = None,
        groups: int = 1,
        layout: Layout = Layout.CHANNELS_FIRST,
        name: str = "conv",
        bias: bool = True,
    ) -> Value:
        """2-d convolution with a weight of its own; by default padded so that stride 1 keeps the size."""
        channels = x.type.shape[layout.channel_axis(4)]
        assert isinstance(channels, int)
        per_group = channels // groups
        first = layout is Layout.CHANNELS_FIRST
        shape = (outputs, per_group, kernel, kernel) if first else (outputs, kernel, kernel, per_group)
        side = kernel // 2 if padding is None else padding
        op = Conv((stride,) * 2, ((side, side),) * 2, (1, 1), groups, layout)
        operands = [x, self.constant(*shape, name=f"{name}.weight")]
        operands += [self.constant(outputs, name=f"{name}.bias")] if bias else []
        return self.add(op, *operands, name=name)

    def linear(self, x: Value, outputs: int, name: str = "linear") -> Value:
        inputs = x.type.shape[-1]
        assert isinstance(inputs, int)
        weight, bias = (
            self.constant(outputs, inputs, name=f"{name}.weight"),
            self.constant(outputs, name=f"{name}.bias"),
        )
        return self.add(Linear(), x, weight, bias, name=name)

    def batch_norm(self, x: Value, axis: int = 1, name: str = "norm") -> Value:
        channels = x.type.shape[axis]
        assert isinstance(channels, int)
        statistics = [
            self.constant(channels, low=low, high=2.0, name=f"{name}.{part}")
            for part, low in (("scale", 0.5), ("offset", -2.0), ("mean", -2.0), ("variance", 0.1))
        ]
        return self.add(BatchNorm(1e-3, axis), x, *statistics, name=name)

    def done(self, *outputs: Value) -> Graph:
        """The graph with outputs y, y1 …, verified."""
        for i, value in enumerate(outputs):
            self.graph.set_output(f"y{i or ''}", value)
        verify(self.graph)
        return self.graph


def arrays_for(graph: Graph, batch: int = 3) -> dict[str, Array]:
    """Random arrays for the graph's inputs."""
    random = np.random.default_rng(1)
    arrays: dict[str, Array] = {}
    for value in graph.inputs:
        shape = value.type.evaluate(dict.fromkeys(value.type.free_names, batch))
        if value.type.dtype.is_float:
            arrays[value.name] = random.uniform(-3, 3, shape).astype(value.type.dtype.numpy)
        else:
            arrays[value.name] = random.integers(0, 4, shape).astype(value.type.dtype.numpy)
    return arrays


def assert_same_numbers(before: Graph, after: Graph, *, close: float = 1e-6) -> None:
    """Both graphs give the same outputs in float64.

    close   accepted difference in parts of the output's largest value; weights are stored in float32, so a pass that
            works on weights moves its result by a rounding
    """
    arrays = arrays_for(before)
    told = run_graph(before, arrays, dtype=DType.FLOAT64)
    got = run_graph(after, arrays, dtype=DType.FLOAT64)
    assert list(told) == list(got)
    for name, expected in told.items():
        assert got[name].shape == expected.shape and got[name].dtype == expected.dtype
        finite = expected[np.isfinite(expected)].astype(np.float64)
        span = float(np.abs(finite).max()) if finite.size else 0.0
        np.testing.assert_allclose(
            got[name].astype(np.float64), expected.astype(np.float64), rtol=0, atol=close * span, equal_nan=True
        )


def fires(apply: Pass, graph: Graph) -> Graph:
    """The graph after a pass that changes it: sound, with the same numbers, and not changed by the pass again."""
    after = graph.copy()
    assert apply(after) is True
    verify(after)
    assert_same_numbers(graph, after)
    settled = str(after)
    assert apply(after) is False
    assert str(after) == settled
    return after


def leaves_alone(apply: Pass, graph: Graph) -> None:
    """The pass says that it changed nothing, and did not."""
    text = str(graph)
    assert apply(graph) is False
    assert str(graph) == text
    verify(graph)


def count(graph: Graph, *ops: type[OpAttrs]) -> int:
    return sum(isinstance(node.op, ops) for node in graph.nodes)


def labels(graph: Graph) -> list[str]:
    """The ops in the order in which they run."""
    return [node.op.label() for node in graph.nodes]


CLAMPS = frozenset({Activation.RELU, Activation.RELU6})


def legalised(
    graph: Graph,
    layout: Layout,
    *,
    fuses: Mapping[type[OpAttrs], frozenset[Activation]] | None = None,
    lifts_1d: bool = False,
    spells: Callable[[OpAttrs], bool] = lambda op: True,
    close: float = 1e-6,
) -> Graph:
    """The graph after the whole pipeline, verified and with the same numbers."""
    text = str(graph)
    prepared = legalise(graph, layout=layout, fuses=fuses or {}, lifts_1d=lifts_1d, spells=lambda node: spells(node.op))
    assert str(graph) == text, "the original is left alone"
    verify(prepared)
    assert_same_numbers(graph, prepared, close=close)
    return prepared
