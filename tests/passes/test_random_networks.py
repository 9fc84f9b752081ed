"""Random networks over the ops that the layout passes know: the numbers stay, in both layouts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from passes.build import BATCH, CLAMPS, Builder, count, legalised

from triport.exporter.graph import DType, Graph, Shape, Value
from triport.exporter.ops import (
    Add,
    AveragePool,
    Clamp,
    Concat,
    Conv,
    Layout,
    Linear,
    MatMul,
    MaxPool,
    Mish,
    Mul,
    OpAttrs,
    Pad,
    ReduceMax,
    ReduceMean,
    Relu,
    Reshape,
    Resize,
    ResizeMode,
    Slice,
    Softmax,
    Transpose,
)

FUSES = {Conv: CLAMPS, Add: CLAMPS, Linear: CLAMPS}
MAX_CELLS = 600


def _sizes(value: Value) -> tuple[int, ...]:
    """The shape without the batch."""
    return value.type.with_shape(value.type.shape[1:]).static_shape()


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    b = Builder(DType.FLOAT64)  # no pass rounds a weight, so the numbers have to be the same to the last digits
    values = [b.input(*draw(st.sampled_from([(3, 4, 5), (4, 5, 3), (1, 4, 4), (4, 1, 1), (6, 4), (8,)])))]
    if draw(st.booleans()):
        values.append(b.input(*draw(st.sampled_from([(3, 4, 5), (2, 4, 4)])), name="z"))
    for _ in range(draw(st.integers(1, 10))):
        x = draw(st.sampled_from(values))
        y = draw(st.sampled_from(STEPS))(draw, b, x, values)
        if y is not None:
            values.append(y)
    read = {value for node in b.graph.nodes for value in node.inputs}
    ends = [value for value in values if value not in read and value.producer is not None]
    return b.done(*(ends or values[-1:]), *draw(st.lists(st.sampled_from(values), max_size=1)))


Step = Callable[[st.DrawFn, Builder, Value, list[Value]], Value | None]


def _conv(draw: st.DrawFn, b: Builder, x: Value, values: list[Value]) -> Value | None:
    if x.type.rank != 4:
        return None
    layout = draw(st.sampled_from(Layout))
    channels = x.type.shape[layout.channel_axis(4)]
    groups = draw(st.sampled_from([1, 1, channels]))
    assert isinstance(groups, int)
    y = b.conv(x, draw(st.integers(1, 2)) * groups, groups=groups, layout=layout, stride=draw(st.integers(1, 2)))
    return b.batch_norm(y, layout.channel_axis(4)) if draw(st.booleans()) else y


def _pool(draw: st.DrawFn, b: Builder, x: Value, values: list[Value]) -> Value | None:
    if x.type.rank != 4:
        return None
    layout = draw(st.sampled_from(Layout))
    kind = draw(st.sampled_from([MaxPool, AveragePool]))
    return b.add(kind((2, 2), (1, draw(st.integers(1, 2))), ((0, 1), (1, 0)), (1, 1), layout=layout), x)


def _resize(draw: st.DrawFn, b: Builder, x: Value, values: list[Value]) -> Value | None:
    if x.type.rank != 4:
        return None
    return b.add(Resize((4, 3), draw(st.sampled_from(ResizeMode)), layout=draw(st.sampled_from(Layout))), x)


def _cellwise(draw: st.DrawFn, b: Builder, x: Value, values: list[Value]) -> Value:
    return b.add(draw(st.sampled_from([Relu(), Clamp(0.0, 6.0), Clamp(-0.5, 0.5), Mish()])), x)


def _with_constant(draw: st.DrawFn, b: Builder, x: Value, values: list[Value]) -> Value:
    shape = _sizes(x)[draw(st.integers(0, x.type.rank - 1)) :]
    shape = tuple(draw(st.sampled_from([1, size])) for size in shape)
    operands = [x, b.constant(*shape)]
    return b.add(draw(st.sampled_from([Add(), Mul()])), *(operands if draw(st.booleans()) else reversed(operands)))


def _with_other(draw: st.DrawFn, b: Builder, x: Value, values: list[Value]) -> Value | None:
    fitting = [v for v in values if v.type.rank == x.type.rank and _broadcasts(v.type.shape, x.type.shape)]
    return b.add(draw(st.sampled_from([Add(), Mul()])), x, draw(st.sampled_from(fitting)))


def _broadcasts(a: Shape, b: Shape) -> bool:
    return all(left == right or 1 in (left, right) for left, right in zip(a, b, strict=True))


def _concat(draw: st.DrawFn, b: Builder, x: Value, values: list[Value]) -> Value | None:
    axis = draw(st.integers(1, x.type.rank - 1))

    def rest(value: Value) -> list[object]:
        return [dim for i, dim in enumerate(value.type.shape) if i != axis]

    return b.add(
        Concat(axis), x, draw(st.sampled_from([v for v in values if v.type.rank == x.type.rank and rest(v) == rest(x)]))
    )


def _transpose(draw: st.DrawFn, b: Builder, x: Value, values: list[Value]) -> Value:
    return b.add(Transpose((0, *draw(st.permutations(range(1, x.type.rank))))), x)


def _reshape(draw: st.DrawFn, b: Builder, x: Value, values: list[Value]) -> Value:
    sizes = _sizes(x)
    cells = 1
    for size in sizes:
        cells *= size
    at = draw(st.integers(0, len(sizes) - 1))
    merged = (*sizes[:at], *([sizes[at] * sizes[at + 1]] if at + 1 < len(sizes) else sizes[at:]), *sizes[at + 2 :])
    split = [(i, cells // i) for i in range(1, cells + 1) if cells % i == 0]
    cube = [(i, j, cells // i // j) for i, _ in split for j in range(1, cells // i + 1) if cells // i % j == 0]
    shape = draw(st.sampled_from([(cells,), merged, draw(st.sampled_from(split)), draw(st.sampled_from(cube))]))
    return b.add(Reshape((BATCH, *shape)), x)


def _reduce(draw: st.DrawFn, b: Builder, x: Value, values: list[Value]) -> Value | None:
    axes = draw(st.sets(st.integers(1, x.type.rank - 1), min_size=1))
    keep = len(axes) == x.type.rank - 1 or draw(st.booleans())
    return b.add(draw(st.sampled_from([ReduceMean, ReduceMax]))(tuple(sorted(axes)), keep), x)


def _axis_op(draw: st.DrawFn, b: Builder, x: Value, values: list[Value]) -> Value:
    axis = draw(st.integers(1, x.type.rank - 1))
    size = x.type.shape[axis]
    assert isinstance(size, int)
    first = draw(st.integers(0, size - 1))
    before = tuple(int(i == axis) for i in range(x.type.rank))
    ops: list[OpAttrs] = [
        Softmax(axis),
        Slice((axis,), (first,), (size,), (draw(st.integers(1, 2)),)),
        Pad(before, tuple(2 * side for side in before), draw(st.sampled_from([0.0, 1.5]))),
    ]
    return b.add(draw(st.sampled_from(ops)), x)


def _linear(draw: st.DrawFn, b: Builder, x: Value, values: list[Value]) -> Value:
    return b.linear(x, draw(st.integers(1, 4)))


def _halves(draw: st.DrawFn, b: Builder, x: Value, values: list[Value]) -> Value | None:
    """Parts of an axis, each reshaped and turned, that meet again: as heads of attention do."""
    axis = draw(st.integers(1, x.type.rank - 1))
    size = x.type.shape[axis]
    assert isinstance(size, int)
    if size % 2:
        return None
    parts = [b.add(Slice((axis,), (at,), (at + size // 2,), (1,)), x) for at in (0, size // 2)]
    perm = (0, *draw(st.permutations(range(1, x.type.rank))))
    turned = [b.add(Transpose(perm), part) for part in parts]
    if draw(st.booleans()):
        values.append(turned[1])
    if x.type.rank > 2 and draw(st.booleans()):
        back = draw(st.booleans())
        other = (
            turned[1]
            if back
            else b.add(Transpose((*range(x.type.rank - 2), x.type.rank - 1, x.type.rank - 2)), turned[1])
        )
        return b.add(MatMul(transpose_b=back), turned[0], other)
    return b.add(Add(), *turned)


STEPS: list[Step] = [
    _conv,
    _conv,
    _pool,
    _resize,
    _cellwise,
    _with_constant,
    _with_other,
    _concat,
    _transpose,
    _transpose,
    _reshape,
    _reduce,
    _axis_op,
    _linear,
    _halves,
]


@pytest.mark.parametrize("layout", Layout)
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(graph=networks())
def test_numbers_stay_whatever_the_network(graph: Graph, layout: Layout) -> None:
    def prepare() -> Graph:
        return legalised(graph, layout, fuses=FUSES, spells=lambda op: not isinstance(op, Mish), close=1e-10)

    prepared = prepare()
    assert str(prepare()) == str(prepared)
    for node in prepared.nodes:
        assert getattr(node.op, "layout", layout) is layout
    assert count(prepared, Mish) == 0
