"""Linear layers whose outputs slices take apart, computed apart."""

from __future__ import annotations

import numpy as np
import pytest
from passes.build import BATCH, Builder, count, fires, labels, leaves_alone

from triport.exporter.graph import DType, Value
from triport.exporter.ops import Linear, Relu, Reshape, Slice, Transpose
from triport.exporter.passes.split_linear import split_linear


def _slice(b: Builder, x: Value, axis: int, start: int, stop: int, step: int = 1) -> Value:
    return b.add(Slice((axis,), (start,), (stop,), (step,)), x, name=f"part{start}")


def _heads(b: Builder, width: int = 32) -> Value:
    """[3, batch, heads, length, width], as vision transformers put it."""
    y = b.linear(b.input(5, 8), 3 * 2 * width, "qkv")
    return b.add(Transpose((2, 0, 3, 1, 4)), b.add(Reshape((BATCH, 5, 3, 2, width)), y))


def test_queries_keys_and_values_are_computed_apart() -> None:
    b = Builder(DType.FLOAT64)
    x = _heads(b)
    parts = [b.add(Reshape((BATCH, 2, 5, 32)), _slice(b, x, 0, i, i + 1)) for i in range(3)]
    before = b.done(*parts)
    after = fires(split_linear, before)
    assert (count(after, Linear), count(after, Slice), count(after, Transpose)) == (3, 0, 3)
    layers = [node for node in after.nodes if isinstance(node.op, Linear)]
    assert [node.name for node in layers] == ["qkv[0:64]", "qkv[64:128]", "qkv[128:192]"]
    weight = next(value.array() for value in before.constants() if value.name == "qkv.weight")
    assert np.array_equal(layers[1].inputs[1].array(), weight[64:128])


def test_torchs_own_attention_which_makes_room_for_three_first() -> None:
    b = Builder(DType.FLOAT64)
    y = b.add(Reshape((1, BATCH, 5, 3, 64)), b.linear(b.input(5, 8), 192))
    x = b.add(Reshape((3, BATCH, 5, 64)), b.add(Transpose((3, 1, 2, 0, 4)), y))
    after = fires(split_linear, b.done(*(_slice(b, x, 0, i, i + 1) for i in range(3))))
    assert set(labels(after)) == {"linear", "reshape"}


def test_pieces_of_other_widths_keep_the_names_of_their_slices() -> None:
    b = Builder(DType.FLOAT64)
    y = b.linear(b.input(5, 8), 160)
    after = fires(split_linear, b.done(_slice(b, y, 2, 0, 32), _slice(b, y, 2, 64, 160)))  # nobody reads 32 to 64
    assert labels(after) == ["linear", "linear"]
    assert [node.name for node in after.nodes] == ["part0", "part64"]
    assert [node.inputs[1].type.shape for node in after.nodes] == [(32, 8), (96, 8)]


def test_a_layer_without_a_bias_is_split_too() -> None:
    b = Builder(DType.FLOAT64)
    y = b.add(Linear(), b.input(8), b.constant(64, 8))
    after = fires(split_linear, b.done(_slice(b, y, 1, 0, 32), _slice(b, y, 1, 32, 64)))
    assert [len(node.inputs) for node in after.nodes] == [2, 2]


@pytest.mark.parametrize(
    ("axis", "start", "stop", "step"), [(1, 0, 3, 1), (2, 0, 64, 2), (2, 32, 96, 1), (2, 64, 80, 1)]
)
def test_rows_steps_overlaps_and_narrow_pieces_stay_slices(axis: int, start: int, stop: int, step: int) -> None:
    b = Builder()
    y = b.linear(b.input(5, 8), 128)
    leaves_alone(split_linear, b.done(_slice(b, y, 2, 0, 64), _slice(b, y, axis, start, stop, step)))


def test_a_slice_of_every_head_stays() -> None:
    b = Builder()
    y = b.add(Reshape((BATCH, 5, 2, 96)), b.linear(b.input(5, 8), 192))
    leaves_alone(split_linear, b.done(*(_slice(b, y, 3, i * 32, i * 32 + 32) for i in range(3))))
    b = Builder()
    x = _heads(b)
    leaves_alone(split_linear, b.done(*(_slice(b, x, 2, i, i + 1) for i in range(2))))


@pytest.mark.parametrize("output", [True, False])
def test_outputs_that_are_wanted_whole_stay_whole(output: bool) -> None:
    b = Builder()
    x = _heads(b)
    leaves_alone(split_linear, b.done(_slice(b, x, 0, 0, 1), x if output else b.add(Relu(), x)))


def test_a_weight_that_two_layers_share_or_that_is_computed_stays() -> None:
    b = Builder()
    weight = b.constant(64, 64)
    first = b.add(Linear(), b.input(64), weight)
    y = b.add(Linear(), b.add(Relu(), first), weight)
    leaves_alone(split_linear, b.done(_slice(b, y, 1, 0, 32), _slice(b, y, 1, 32, 64)))
    b = Builder()
    y = b.add(Linear(), b.input(8), b.add(Relu(), b.constant(64, 8)))
    leaves_alone(split_linear, b.done(_slice(b, y, 1, 0, 32), _slice(b, y, 1, 32, 64)))
