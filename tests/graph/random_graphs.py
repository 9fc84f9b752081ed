"""Graphs to save and load: a small fixed one, and a hypothesis strategy for any other."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from triport.exporter.graph import (
    Array,
    DType,
    Graph,
    Quantization,
    Recipe,
    Sample,
    Source,
    Sym,
    TensorType,
    Value,
)
from triport.exporter.ops import (
    Activation,
    Add,
    AveragePool,
    BatchNorm,
    Cast,
    Clamp,
    Concat,
    Conv,
    ConvTranspose,
    Gather,
    Gelu,
    LayerNorm,
    Linear,
    MaxPool,
    Mul,
    OpAttrs,
    Pad,
    Quantize,
    ReduceMean,
    Relu,
    Reshape,
    Resize,
    ResizeMode,
    Slice,
    Softmax,
    Transpose,
)

BATCH = Sym.named("batch")


def small_graph() -> Graph:
    """Two layers, one of them with its weight tied to the other's, two samples, metadata, and an extra tensor."""
    random = np.random.default_rng(7)
    graph = Graph("small")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 4)))
    weight = graph.add_constant(random.standard_normal((4, 4)).astype(np.float32), "first.weight")
    tied = graph.add_constant(weight.array(), "second.weight")
    bias = graph.add_constant(random.standard_normal(4).astype(np.float32), "first.bias")
    first = Linear(Activation.RELU)
    h = graph.add(first, x, weight, bias, name="first", source=Source("first", "model.py:12"))
    y = graph.add(Linear(), h, tied, name="second", source=Source("second", "model.py:13"))
    graph.set_output("scores", y)
    graph.metadata = {"labels": ["a", "b", "c", "d"], "epochs": 3, "rate": 0.5, "best": None}
    graph.extra_tensors = {"adam/step": np.array(12, np.int64), "adam/done": np.array([True, False])}
    inputs = {"x": random.standard_normal((2, 4)).astype(np.float32)}
    outputs = {"scores": random.standard_normal((2, 4)).astype(np.float32)}
    recipe = Recipe(DType.FLOAT32, (2, 4), 5, -1.0, 1.0)
    graph.samples = [Sample(inputs, outputs), Sample({}, outputs, {"x": recipe})]
    return graph


def graph_of_many_ops() -> Graph:
    """One node of every kind of attribute: tuples of pairs, enums, dtypes, symbolic shapes, floats, bools."""
    graph = Graph("many")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 2, 6, 6)))
    weight = graph.add_constant(np.ones((2, 2, 3, 3), np.float32), "weight")
    pair = graph.add_constant(np.ones(2, np.float32), "pair")
    row = graph.add_constant(np.ones(6, np.float32), "row")
    indices = graph.add_constant(np.array([0, 1]), "indices")
    same = ((1, 1), (1, 1))
    nodes: list[tuple[OpAttrs, list[Value]]] = [
        (Conv((1, 1), same, (1, 1)), [x, weight, pair]),
        (ConvTranspose((2, 2), same, (1, 1)), [x, weight, pair]),
        (MaxPool((2, 2), (2, 2), same, (1, 1)), [x]),
        (AveragePool((2, 2), (2, 2), same, (1, 1)), [x]),
        (BatchNorm(1e-3), [x, pair, pair, pair, pair]),
        (LayerNorm(1, 1e-3), [x, row, row]),
        (Resize((3, 3), ResizeMode.BILINEAR), [x]),
        (Slice((2,), (1,), (5,), (2,)), [x]),
        (Gather(1), [x, indices]),
        (Pad((0, 0, 1, 1), (0, 0, 1, 1), -math.inf), [x]),
        (Reshape((BATCH * 2, 36)), [x]),
        (Transpose((0, 2, 3, 1)), [x]),
        (Concat(1), [x, x]),
        (ReduceMean((2, 3), False), [x]),
        (Softmax(-1), [x]),
        (Cast(DType.INT32), [x]),
        (Gelu(True), [x]),
        (Clamp(0.0, 6.0), [x]),
    ]
    for op, inputs in nodes:
        graph.set_output(op.name, graph.add(op, *inputs))
    return graph


def assert_same(a: Graph, b: Graph) -> None:
    """Compares everything a graph holds, field by field and arrays bit by bit."""
    assert (a.name, a.metadata) == (b.name, b.metadata)
    assert [_seen(v) for v in a.inputs] == [_seen(v) for v in b.inputs]
    assert [(name, v.name) for name, v in a.outputs.items()] == [(name, v.name) for name, v in b.outputs.items()]
    assert len(a.nodes) == len(b.nodes)
    for x, y in zip(a.nodes, b.nodes, strict=True):
        assert (x.name, type(x.op), repr(x.op), x.source) == (y.name, type(y.op), repr(y.op), y.source)
        assert [_seen(v) for v in x.inputs] == [_seen(v) for v in y.inputs]
        assert [_seen(v) for v in x.outputs] == [_seen(v) for v in y.outputs]
    assert _all_bits(a.extra_tensors) == _all_bits(b.extra_tensors)
    for s, t in zip(a.samples, b.samples, strict=True):
        assert (s.recipes, _all_bits(s.inputs), _all_bits(s.outputs)) == (
            t.recipes,
            _all_bits(t.inputs),
            _all_bits(t.outputs),
        )


def _seen(value: Value) -> tuple[object, ...]:
    constant = None if value.constant is None else _bits(value.constant)
    return (value.name, value.type, constant)


def _bits(array: Array) -> tuple[object, ...]:
    """dtype, shape and bytes; the order of a number's bytes in memory is the host's affair."""
    return (array.dtype.name, array.shape, array.astype(array.dtype.newbyteorder("<")).tobytes())


def _all_bits(arrays: dict[str, Array]) -> dict[str, tuple[object, ...]]:
    return {name: _bits(array) for name, array in arrays.items()}


# Any text that has a form in UTF-8; names of tensors meet JSON, escapes and the file's own keys.
QUANTIZATIONS = st.builds(
    Quantization,
    st.sampled_from([0.5, 1.0, float(np.float32(0.1)), float(np.float32(3e-7))]),
    st.integers(-128, 127),
)
NAMES = st.one_of(
    st.sampled_from(["a", "__metadata__", "extra/a", "golden/0/inputs/x", "w~", "x_1", "", '"', "\\", "é", "\u0000"]),
    st.text(st.characters(codec="utf-8"), max_size=6),
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
_DTYPES = st.sampled_from(list(DType))


@st.composite
def arrays(draw: st.DrawFn, dtype: DType | None = None, shape: tuple[int, ...] | None = None) -> Array:
    """Any bits of any dtype (NaN payloads and -0.0 included), now and then not contiguous or big-endian."""
    chosen = draw(_DTYPES) if dtype is None else dtype
    sizes = draw(st.lists(st.integers(0, 4), max_size=3).map(tuple)) if shape is None else shape
    count = int(np.prod(sizes, dtype=np.int64))
    # Few different seeds: equal arrays under two names have to come up.
    raw = np.random.default_rng(draw(st.integers(0, 3))).integers(0, 256, count * chosen.bytes, dtype=np.uint8)
    array: Array = (raw % 2).astype(np.bool_) if chosen is DType.BOOL else raw.view(chosen.numpy)
    array = array.reshape(sizes)
    return draw(st.sampled_from([array, np.asfortranarray(array), array.astype(array.dtype.newbyteorder(">"))]))


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Graphs of up to eight steps over float32 [batch, 4, 4, 4], with everything a file can carry."""
    graph = Graph(draw(NAMES))
    shape = (BATCH, 4, 4, 4)
    values = [graph.add_input("x", TensorType(DType.FLOAT32, shape))]
    for _ in range(draw(st.integers(0, 8))):
        _add_step(draw, graph, values)
    for _ in range(draw(st.integers(0, 2))):
        wanted, array = draw(NAMES), draw(arrays())
        constant = graph.add_constant(array, wanted)
        graph.set_output(f"constant {wanted}", constant)
    for i, value in enumerate(values):
        if draw(st.booleans()):
            graph.set_output(f"{i} {draw(NAMES)}", value)
        if value.type.dtype is DType.FLOAT32 and draw(st.booleans()):
            codes = graph.add(Quantize(draw(QUANTIZATIONS)), value)
            moved = graph.add(Reshape(codes.type.shape), codes) if draw(st.booleans()) else codes
            graph.set_output(f"{i} codes", moved)
    graph.metadata = draw(st.dictionaries(NAMES, JSON, max_size=3))
    graph.extra_tensors = draw(st.dictionaries(NAMES, arrays(), max_size=2))
    recipes = st.builds(
        Recipe, st.just(DType.INT64), st.just((2, 3)), st.integers(0, 2**32 - 1), st.just(-3), st.just(9)
    )
    named = st.dictionaries(NAMES, arrays(), max_size=2)
    graph.samples = draw(
        st.lists(st.builds(Sample, named, named, st.dictionaries(NAMES, recipes, max_size=1)), max_size=2)
    )
    return graph


def _add_step(draw: st.DrawFn, graph: Graph, values: list[Value]) -> None:
    """One more node that reads values there are and gives float32 [batch, 4, 4, 4] again."""
    a, b = draw(st.sampled_from(values)), draw(st.sampled_from(values))
    # File names without folders: a file keeps no more than that.
    source = Source(draw(NAMES), draw(st.sampled_from(["", "model.py:1", "net.py:77"])))
    name = draw(NAMES)

    def add(op: Any, *inputs: Value) -> Value:
        return graph.add(op, *inputs, name=name, source=source)

    def conv() -> Value:
        weight = graph.add_constant(draw(arrays(DType.FLOAT32, (4, 4, 3, 3))), draw(NAMES))
        return add(Conv((1, 1), ((1, 1), (1, 1)), (1, 1), activation=draw(st.sampled_from(Activation))), a, weight)

    floats = st.floats(allow_nan=True, allow_infinity=True)
    steps: list[Callable[[], Value]] = [
        conv,
        lambda: add(Add(), a, b),
        lambda: add(Relu(), a),
        lambda: add(Clamp(draw(floats), draw(floats)), a),
        lambda: add(Mul(), a, graph.add_constant(draw(arrays(DType.FLOAT32, ())), draw(NAMES))),
        lambda: add(Softmax(draw(st.integers(-4, 3))), a),
        lambda: add(Transpose((0, 3, 1, 2)), a),
        lambda: add(Reshape((BATCH, 4, 4, 4)), add(Reshape((BATCH * 16, 4)), a)),
        lambda: add(Slice((3,), (0,), (4,), (1,)), add(Concat(3), a, b)),
        lambda: add(Cast(DType.FLOAT32), add(Cast(draw(_DTYPES)), a)),
        lambda: add(Slice((1,), (1,), (5,), (1,)), add(Pad((0, 1, 0, 0), (0, 0, 0, 0), draw(floats)), a)),
        lambda: add(Resize((4, 4), draw(st.sampled_from(ResizeMode))), add(ReduceMean((2, 3), True), a)),
    ]
    values.append(draw(st.sampled_from(steps))())
