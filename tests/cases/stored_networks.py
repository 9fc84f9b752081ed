"""Two networks with every kind of weight that can be stored in few bits."""

from __future__ import annotations

import numpy as np

from triport.exporter.graph import Array, DType, Graph, Sample, Sym, TensorType, Value
from triport.exporter.ops import (
    Conv,
    ConvTranspose,
    Gather,
    Gru,
    LayerNorm,
    Linear,
    Lstm,
    MatMul,
    OpAttrs,
    ReduceMean,
    Relu,
    Rnn,
)
from triport.exporter.reference import run_graph

from .case import BATCH

ONE, NONE = (1, 1), ((0, 0), (0, 0))
TIME = Sym.named("time")


class _Builder:
    def __init__(self, name: str) -> None:
        self.graph = Graph(name)
        self.random = np.random.default_rng(5)

    def weight(self, name: str, *shape: int) -> Value:
        spread = float(np.prod(shape[1:]) ** -0.5)
        return self.graph.add_constant(self.random.normal(0, spread, shape).astype(np.float32), name)

    def add(self, name: str, op: OpAttrs, x: Value, *shapes: tuple[int, ...]) -> Value:
        weights = [self.weight(f"{name}.{i}", *shape) for i, shape in enumerate(shapes)]
        return self.graph.add_node(op, [x, *weights], name=name).outputs[0]

    def finished(self, y: Value, feeds: dict[str, Array]) -> Graph:
        self.graph.set_output("y", y)
        self.graph.samples.append(Sample(feeds, run_graph(self.graph, feeds)))
        return self.graph


def image_network() -> Graph:
    """Convolutions: plain, depthwise, grouped, transposed; then linear layers, one behind a norm, and a product."""
    b = _Builder("images")
    x = b.graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 3, 10, 10)))
    y = b.add("stem", Conv(ONE, ((1, 1), (1, 1)), ONE), x, (32, 3, 3, 3), (32,))
    y = b.add("depthwise", Conv(ONE, NONE, ONE, 32), b.graph.add(Relu(), y), (32, 1, 3, 3), (32,))
    y = b.add("wide", Conv(ONE, NONE, ONE), y, (48, 32, 1, 1), (48,))
    y = b.add("up", ConvTranspose((2, 2), NONE, ONE), b.graph.add(Relu(), y), (48, 16, 2, 2), (16,))
    y = b.add("grouped", Conv((2, 2), NONE, ONE, 4), y, (36, 4, 3, 3))
    y = b.graph.add(ReduceMean((2, 3), False), y)
    y = b.add("norm", LayerNorm(1, 1e-5), y, (36,), (36,))
    y = b.add("first", Linear(), y, (192, 36), (192,))
    y = b.add("second", Linear(), b.graph.add(Relu(), y), (128, 192))
    return b.finished(b.add("product", MatMul(), y, (128, 20)), image_feeds(2))


def image_feeds(batch: int) -> dict[str, Array]:
    return {"x": np.random.default_rng(batch).normal(0, 1, (batch, 3, 10, 10)).astype(np.float32)}


def token_network() -> Graph:
    """A table of words, recurrent layers of each kind, one backwards, and a linear layer over a sequence."""
    b = _Builder("tokens")
    tokens = b.graph.add_input("tokens", TensorType(DType.INT32, (TIME, BATCH)))
    y = b.graph.add(Gather(0), b.weight("words", 90, 32), tokens)
    y = b.add("lstm", Lstm(), y, (128, 32), (128, 32), (2, 128))
    y = b.add("gru", Gru(True), y, (96, 32), (96, 32), (2, 96))
    y = b.add("rnn", Rnn(), y, (64, 32), (64, 64), (2, 64))
    return b.finished(b.add("head", Linear(), y, (12, 64), (12,)), token_feeds(2))


def token_feeds(batch: int) -> dict[str, Array]:
    return {"tokens": np.random.default_rng(batch).integers(0, 90, (6, batch)).astype(np.int32)}


NETWORKS = {"images": (image_network, image_feeds), "tokens": (token_network, token_feeds)}
SCHEMES = {
    "float16": ("float16", None),
    "int8": ("int8-weights", None),
    "int4 in blocks": ("int4-weights", 32),
    "int4 by filter": ("int4-weights", 0),
}
"""{name: scheme, block}"""
