"""Regions that are carried in another layout, and what stays where it is."""

from __future__ import annotations

import pytest
from passes.build import BATCH, TO_FIRST, TO_LAST, Builder, count, fires, labels, leaves_alone

from triport.exporter.graph import Value
from triport.exporter.ops import (
    Add,
    Concat,
    LayerNorm,
    MatMul,
    Mul,
    ReduceMean,
    Relu,
    Reshape,
    Slice,
    Softmax,
    Transpose,
)
from triport.exporter.passes.place_transposes import place_transposes
from triport.exporter.passes.split_before_slices import split_before_slices

HEADS = (0, 2, 1, 3)


def _third(b: Builder, x: Value, index: int, axis: int) -> Value:
    return b.add(Slice((axis,), (index,), (index + 1,), (1,)), x)


def test_three_slices_share_one_transpose() -> None:
    """Queries, keys and values out of one product, as vision transformers write it."""
    b = Builder()
    joined = b.add(Reshape((BATCH, 5, 3, 2, 4)), b.input(5, 24))
    parts = [b.add(Reshape((BATCH, 5, 2, 4)), _third(b, joined, i, 2)) for i in range(3)]
    parts[0] = b.add(Reshape((BATCH, 5, 2, 4)), b.add(Mul(), _third(b, joined, 0, 2), 0.5))
    q, k, v = (b.add(Transpose(HEADS), part) for part in parts)
    after = fires(place_transposes, b.done(b.add(MatMul(transpose_b=True), q, k), v))
    assert count(after, Transpose) == 1
    (turned,) = (node.op for node in after.nodes if isinstance(node.op, Transpose))
    assert turned == Transpose((2, 0, 3, 1, 4))  # a third is then a piece of memory


def test_two_slices_with_transposes_of_their_own_keep_them() -> None:
    b = Builder()
    x = b.input(4, 4, 6)
    first, second = (b.add(Slice((3,), (i,), (i + 3,), (1,)), x) for i in (0, 3))
    leaves_alone(place_transposes, b.done(b.add(Transpose((0, 2, 1, 3)), first), b.add(Transpose(TO_FIRST), second)))


def _shuffled(b: Builder, x: Value, *, last: bool) -> Value:
    """Channels in two groups, mixed; written on a map in channels first, as torch writes it."""
    first = b.add(Transpose(TO_FIRST), x) if last else x
    groups = b.add(Transpose((0, 2, 1, 3, 4)), b.add(Reshape((BATCH, 2, 3, 4, 5)), first))
    return b.add(Reshape((BATCH, 6, 4, 5)), groups)


def test_a_channel_shuffle_is_one_transpose_among_maps_in_channels_last() -> None:
    b = Builder()
    mixed = _shuffled(b, b.input(4, 5, 6), last=True)
    kept, filtered = (b.add(Slice((1,), (i,), (i + 3,), (1,)), mixed) for i in (0, 3))
    norm = LayerNorm(1, 1e-5)  # a layer that has its layout
    filtered = b.add(Transpose(TO_FIRST), b.add(norm, b.add(Transpose(TO_LAST), filtered)))
    y = b.add(Transpose(TO_LAST), b.add(Concat(1), kept, filtered))
    after = fires(place_transposes, b.done(y))
    assert count(after, Transpose) == 1
    assert [node.op.perm for node in after.nodes if isinstance(node.op, Transpose)] == [(0, 1, 2, 4, 3)]


def test_a_shuffle_that_nobody_turns_back_is_left_alone() -> None:
    b = Builder()
    leaves_alone(place_transposes, b.done(b.add(Relu(), _shuffled(b, b.input(6, 4, 5), last=False))))


def test_a_sequence_that_was_turned_for_attention_is_not_turned() -> None:
    """[batch, length, width] is turned for layers that want length first; heads are joined either way at one price."""
    b = Builder()
    x = b.input(5, 8)
    stream = b.add(Transpose((1, 0, 2)), x)
    heads = b.input(2, 5, 4, name="heads")
    joined = b.add(Reshape((5, BATCH, 8)), b.add(Transpose((2, 0, 1, 3)), heads))
    total = b.add(LayerNorm(1, 1e-5), b.add(Add(), b.linear(joined, 8), stream))
    before = b.done(b.add(Transpose((1, 0, 2)), total))
    after = fires(place_transposes, before)
    assert (count(before, Transpose), count(after, Transpose)) == (3, 1)
    assert labels(after) == ["transpose", "reshape", "linear", "add", "layer_norm"]


def test_a_reshape_into_one_region_from_a_transpose_costs_nothing() -> None:
    b = Builder()
    patches = b.add(Reshape((BATCH, 6, 4, 5)), b.add(Transpose((0, 2, 3, 1)), b.input(20, 3, 2)))
    y = b.add(Transpose(TO_LAST), b.add(Softmax(1), patches))
    after = fires(place_transposes, b.done(y))
    assert count(after, Transpose) == 0


def test_means_over_what_moved_end_a_region() -> None:
    b = Builder()
    x = b.add(Transpose(TO_FIRST), b.input(4, 5, 6))
    other = b.add(Relu(), b.add(Add(), x, b.add(Transpose(TO_FIRST), b.input(4, 5, 6, name="z"))))
    after = fires(place_transposes, b.done(b.add(ReduceMean((2, 3), False), other)))
    assert labels(after) == ["add", "relu", "reduce_mean"]


def test_what_is_an_output_too_is_turned_back() -> None:
    b = Builder()
    x, z = (b.add(Transpose(TO_FIRST), b.input(4, 5, 6, name=name)) for name in "xz")
    total = b.add(Add(), x, z)
    before = b.done(b.add(Transpose(TO_LAST), b.add(Relu(), total)), total)
    after = fires(place_transposes, before)
    assert (count(before, Transpose), count(after, Transpose)) == (3, 1)


def test_a_weight_is_no_part_of_a_region() -> None:
    b = Builder()
    weight = b.add(Transpose((1, 0)), b.graph.add_input("w", b.constant(6, 6).type))
    y = b.add(Relu(), b.add(Transpose((1, 0)), b.add(Relu(), weight)))
    after = fires(place_transposes, b.done(y))
    assert count(after, Transpose) == 0


# -- split before slices -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("middle", [(BATCH, 5, 2, 4), (1, BATCH, 5, 2, 4)])
def test_an_axis_that_every_slice_splits_is_split_before(middle: tuple[int, ...]) -> None:
    b = Builder()
    joined = b.add(Reshape((BATCH, 5, 3, 8)), b.input(5, 24))
    parts = [b.add(Reshape(middle), _third(b, joined, i, 2)) for i in (0, 1)]
    scaled = b.add(Reshape(middle), b.add(Relu(), b.add(Mul(), _third(b, joined, 2, 2), 0.5)))
    after = fires(split_before_slices, b.done(*parts, scaled))
    assert after.nodes[0].op == Reshape((BATCH, 5, 3, 2, 4))
    assert labels(after).count("reshape") == 4


def test_an_axis_that_is_sliced_or_split_otherwise_stays() -> None:
    b = Builder()
    joined = b.add(Reshape((BATCH, 5, 24)), b.input(120))
    halves = [b.add(Slice((2,), (12 * i,), (12 * i + 12,), (1,)), joined) for i in (0, 1)]
    leaves_alone(split_before_slices, b.done(*(b.add(Reshape((BATCH, 5, 3, 4)), half) for half in halves)))

    b = Builder()
    joined = b.add(Reshape((BATCH, 5, 3, 8)), b.input(5, 24))
    shapes = ((BATCH, 5, 2, 4), (BATCH, 5, 4, 2))
    parts = [b.add(Reshape(shape), _third(b, joined, i, 2)) for i, shape in enumerate(shapes)]
    leaves_alone(split_before_slices, b.done(*parts))

    b = Builder()
    joined = b.add(Reshape((BATCH, 5, 3, 8)), b.input(5, 24))
    parts = [b.add(Reshape((BATCH, 5, 2, 4)), _third(b, joined, i, 2)) for i in (0, 1)]
    leaves_alone(split_before_slices, b.done(*parts, b.add(Relu(), joined)))  # others read what is split

    b = Builder()
    joined = b.add(Reshape((BATCH, 5, 2, 3, 8)), b.input(5, 2, 24))
    parts = [b.add(Reshape((BATCH, 5, 2, 2, 4)), _third(b, joined, i, 3)) for i in (0, 1)]
    leaves_alone(split_before_slices, b.done(*parts))  # phones slice tensors of five axes at most
