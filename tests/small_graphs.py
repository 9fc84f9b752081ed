"""Graphs for tests of whole ports: small, made without torch, the same every time."""

from __future__ import annotations

import numpy as np

from triport.exporter.graph import Array, DType, Graph, Sample, Source, Sym, TensorType, Value
from triport.exporter.ops import Cast, Conv, Exp, Linear, MaxPool, Mul, Relu, Reshape, Sigmoid, Softmax, Sqrt
from triport.exporter.reference import run_graph

BATCH = Sym.named("batch")


def convnet(seed: int = 0, *, samples: int = 2) -> Graph:
    """image [batch, 1, 8, 8] → conv, relu, max pool, linear, softmax → scores [batch, 10], with golden samples."""
    graph = Graph("convnet")
    random = np.random.default_rng(seed)

    def weight(*shape: int) -> Array:
        return random.normal(0, 0.3, shape).astype(np.float32)

    x = graph.add_input("image", TensorType(DType.FLOAT32, (BATCH, 1, 8, 8)))
    conv = Conv(stride=(1, 1), padding=((1, 1), (1, 1)), dilation=(1, 1))
    kernel = graph.add_constant(weight(4, 1, 3, 3), "stem.weight")
    bias = graph.add_constant(weight(4), "stem.bias")
    y = graph.add(conv, x, kernel, bias, name="stem", source=Source("stem", "model.py:41"))
    y = graph.add(Relu(), y, name="relu", source=Source("relu", "model.py:42"))
    pool = MaxPool(kernel=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0)), dilation=(1, 1))
    y = graph.add(pool, y, name="pool", source=Source("pool", "model.py:43"))
    y = graph.add(Reshape((BATCH, 64)), y, name="flatten", source=Source("flatten", "model.py:44"))
    y = dense(graph, y, weight(10, 64), "head", "model.py:45")
    graph.set_output("scores", graph.add(Softmax(1), y, name="softmax", source=Source("softmax", "model.py:46")))
    for _ in range(samples):
        image = {"image": random.normal(0, 1, (2, 1, 8, 8)).astype(np.float32)}
        graph.samples.append(Sample(image, run_graph(graph, image)))
    return graph


def perceptron(*, broken: float | None = None) -> Graph:
    """x [batch, 4] → linear "first", sigmoid, linear "second" → y [batch, 3]; ``broken`` replaces one weight."""
    graph = Graph("perceptron")
    random = np.random.default_rng(1)
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 4)))
    first = random.normal(0, 1, (5, 4)).astype(np.float32)
    second = random.normal(0, 1, (3, 5)).astype(np.float32)
    if broken is not None:
        second[1, 2] = broken
    y = graph.add(
        Sigmoid(), dense(graph, x, first, "first", "net.py:7"), name="sigmoid", source=Source("act", "net.py:8")
    )
    graph.set_output("y", dense(graph, y, second, "second", "net.py:9"))
    return graph


def root_of_a_product() -> Graph:
    """x [batch, 4] → sqrt(2x): NaN wherever x is negative."""
    graph = Graph("root")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 4)))
    two = graph.add_constant(np.array([2.0], np.float32), "two")
    y = graph.add(Mul(), x, two, name="double", source=Source("double", "root.py:3"))
    graph.set_output("y", graph.add(Sqrt(), y, name="root", source=Source("root", "root.py:4")))
    return graph


def wide_numbers() -> Graph:
    """A relu, then two steps in float64, which phones and pages do not compute in."""
    graph = Graph("wide")
    y = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 3)))
    for i, op in enumerate((Relu(), Cast(DType.FLOAT64), Exp())):
        y = graph.add(op, y, name=f"step{i}", source=Source(f"step{i}", f"steps.py:{10 + i}"))
    graph.set_output("y", y)
    return graph


def dense(graph: Graph, x: Value, weight: Array, name: str, location: str) -> Value:
    """A linear layer with a zero bias."""
    w = graph.add_constant(weight, f"{name}.weight")
    bias = graph.add_constant(np.zeros(len(weight), np.float32), f"{name}.bias")
    return graph.add(Linear(), x, w, bias, name=name, source=Source(name, location))
