"""The rules one by one; test_layouts_of_networks.py counts what is left of whole networks."""

from __future__ import annotations

import pytest
from passes.build import BATCH, TO_FIRST, TO_LAST, Builder, count, fires, labels, leaves_alone

from triport.exporter.graph import Value
from triport.exporter.ops import (
    Add,
    BatchNorm,
    Clamp,
    Concat,
    LayerNorm,
    Mul,
    OpAttrs,
    Pad,
    PRelu,
    ReduceMax,
    ReduceMean,
    Relu,
    Reshape,
    Slice,
    Softmax,
    Sub,
    Transpose,
)
from triport.exporter.passes.axis_groups import axis_groups
from triport.exporter.passes.cancel_transposes import cancel_transposes


def _last(b: Builder, x: Value) -> Value:
    return b.add(Transpose(TO_LAST), x)


def _first(b: Builder, x: Value) -> Value:
    return b.add(Transpose(TO_FIRST), x)


# -- merge -------------------------------------------------------------------------------------------------------------


def test_a_transpose_meets_its_inverse() -> None:
    b = Builder()
    after = fires(cancel_transposes, b.done(b.add(Relu(), _first(b, _last(b, b.input(3, 4, 5))))))
    assert labels(after) == ["relu"]


def test_two_in_a_row_are_one() -> None:
    b = Builder()
    after = fires(cancel_transposes, b.done(b.add(Transpose((0, 2, 1, 3)), _last(b, b.input(3, 4, 5)))))
    assert [node.op for node in after.nodes] == [Transpose((0, 3, 2, 1))]


def test_the_identity_is_none() -> None:
    b = Builder()
    after = fires(cancel_transposes, b.done(b.add(Relu(), b.add(Transpose((0, 1, 2)), b.input(3, 4)))))
    assert labels(after) == ["relu"]


# -- sink --------------------------------------------------------------------------------------------------------------

CELLWISE: list[OpAttrs] = [
    Relu(),
    Clamp(0.0, 1.0),
    Softmax(1),
    Softmax(-1),
    Pad((0, 1, 0, 2), (0, 0, 3, 0), 0.5),
    Slice((1, 3), (1, 0), (3, 4), (1, 2)),
    ReduceMean((1, 3), True),
]


@pytest.mark.parametrize("op", CELLWISE, ids=repr)
def test_an_op_is_done_before_the_transpose(op: OpAttrs) -> None:
    b = Builder()
    after = fires(cancel_transposes, b.done(_first(b, b.add(op, _last(b, b.input(3, 4, 5)), name="layer"))))
    assert [node.name for node in after.nodes] == ["layer"]


def test_batch_norm_keeps_its_parameters_and_moves_its_axis() -> None:
    b = Builder()
    after = fires(cancel_transposes, b.done(_first(b, b.batch_norm(_last(b, b.input(3, 4, 5)), axis=3))))
    assert [node.op for node in after.nodes] == [BatchNorm(1e-3, 1)]


def test_layer_norm_over_an_axis_that_stays_last_passes_and_over_another_does_not() -> None:
    b = Builder()
    swapped = b.add(Transpose((0, 2, 1, 3)), b.input(3, 4, 5))
    y = b.add(Transpose((0, 2, 1, 3)), b.add(LayerNorm(1, 1e-5), swapped))
    assert labels(fires(cancel_transposes, b.done(y))) == ["layer_norm"]

    b = Builder()
    leaves_alone(cancel_transposes, b.done(b.add(LayerNorm(1, 1e-5), _last(b, b.input(3, 4, 5)))))


def test_linear_passes_a_transpose_of_the_axes_before_the_last() -> None:
    b = Builder()
    y = b.linear(b.add(Transpose((0, 2, 1, 3)), b.input(3, 4, 5)), 6)
    assert labels(fires(cancel_transposes, b.done(b.add(Transpose((0, 2, 1, 3)), y)))) == ["linear"]

    b = Builder()
    leaves_alone(cancel_transposes, b.done(b.linear(_last(b, b.input(3, 4, 5)), 6)))


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 1, 1, 3), (4, 5, 3), (5, 1)])
def test_constants_are_permuted_here(shape: tuple[int, ...]) -> None:
    b = Builder()
    y = _first(b, b.add(Sub(), b.constant(*shape), _last(b, b.input(3, 4, 5))))
    assert labels(fires(cancel_transposes, b.done(y))) == ["sub"]


def test_slopes_of_prelu_are_permuted_here() -> None:
    b = Builder()
    y = _last(b, b.add(PRelu(), _first(b, b.input(4, 5, 3)), b.constant(1, 3, 1, 1, name="slope")))
    after = fires(cancel_transposes, b.done(y))
    assert [value.type.shape for value in after.constants()] == [(1, 1, 1, 3)]


def test_a_constant_that_two_ops_share_is_permuted_for_each() -> None:
    b = Builder()
    x, row = b.input(3, 4, 5), b.constant(3)
    y = _first(b, b.add(Add(), b.add(Mul(), _last(b, x), row), row))
    assert labels(fires(cancel_transposes, b.done(y))) == ["mul", "add"]


def test_operands_that_are_both_transposed_meet() -> None:
    b = Builder()
    x, z = b.input(3, 4, 5), b.input(2, 4, 5, name="z")
    after = fires(cancel_transposes, b.done(_first(b, b.add(Concat(3), _last(b, x), _last(b, z)))))
    assert [node.op for node in after.nodes] == [Concat(1)]


def test_an_operand_with_only_ones_to_move_is_reshaped() -> None:
    b = Builder()
    x, scale = b.input(3, 4, 5), b.input(1, 1, 3, name="scale")
    after = fires(cancel_transposes, b.done(_first(b, b.add(Mul(), _last(b, x), scale))))
    assert sorted(labels(after)) == ["mul", "reshape"]


def test_an_operand_whose_transpose_is_computed_anyway_is_read_there() -> None:
    """The skip connection of a block that begins at the model's input."""
    b = Builder()
    x = b.input(3, 4, 5)
    norm = LayerNorm(1, 1e-5)  # over the channels, as a layer that has its layout
    total = b.add(Add(), _first(b, b.add(norm, _last(b, x))), x)
    before = b.done(b.add(norm, _last(b, total)), total)
    after = fires(cancel_transposes, before)
    assert (count(before, Transpose), count(after, Transpose)) == (3, 2)


@pytest.mark.parametrize("swap", [False, True])
def test_a_tensor_beside_its_own_transpose_is_left_alone(swap: bool) -> None:
    """Both ways are equally good, so going from one to the other would never end."""
    b = Builder()
    x = b.input(2, 4, 4)
    operands = [b.add(Transpose((0, 1, 3, 2)), x), x]
    leaves_alone(cancel_transposes, b.done(b.add(Concat(3), *(reversed(operands) if swap else operands))))


def test_an_operand_is_transposed_where_all_readers_transpose_back() -> None:
    b = Builder()
    x, z = b.input(4, 5, 3), b.input(3, 4, 5, name="z")
    total = b.add(Relu(), b.add(Add(), _first(b, x), z))
    before = b.done(b.add(LayerNorm(1, 1e-5), _last(b, total)), b.add(LayerNorm(1, 1e-3), _last(b, total)))
    after = fires(cancel_transposes, before)
    assert (count(before, Transpose), count(after, Transpose)) == (3, 1)


def test_an_operand_is_not_transposed_where_that_saves_nothing() -> None:
    b = Builder()
    x, z = b.input(4, 5, 3), b.input(3, 4, 5, name="z")
    leaves_alone(cancel_transposes, b.done(b.add(Add(), _first(b, x), z)))


# -- free --------------------------------------------------------------------------------------------------------------


def test_moving_axes_of_size_one_is_a_reshape() -> None:
    b = Builder()
    after = fires(cancel_transposes, b.done(_last(b, b.input(1, 4, 5)), _first(b, b.input(1, 1, 3, name="z"))))
    assert labels(after) == ["reshape", "reshape"]


def test_a_free_dim_is_not_taken_for_one() -> None:
    b = Builder()
    leaves_alone(cancel_transposes, b.done(b.add(Transpose((1, 0, 2)), b.input(3, 1))))


# -- reduce ------------------------------------------------------------------------------------------------------------


def test_a_reduction_that_drops_the_moved_axes_drops_the_transpose() -> None:
    b = Builder()
    after = fires(cancel_transposes, b.done(b.add(ReduceMax((1, 2), False), _last(b, b.input(3, 4, 5)))))
    assert [node.op for node in after.nodes] == [ReduceMax((2, 3), False)]


def test_a_reduction_that_keeps_some_leaves_a_smaller_transpose() -> None:
    b = Builder()
    after = fires(cancel_transposes, b.done(b.add(ReduceMean((1,), False), _last(b, b.input(3, 4, 5)))))
    assert [node.op for node in after.nodes] == [ReduceMean((2,), False), Transpose((0, 2, 1))]


# -- reshape -----------------------------------------------------------------------------------------------------------


def test_a_reshape_that_keeps_apart_what_was_moved_is_done_first() -> None:
    """Patches of an image as a sequence: [N, H, W, C] → [N, C, H, W] → [N, C, H*W] → [N, H*W, C]."""
    b = Builder()
    patches = b.add(Reshape((BATCH, 3, 20)), _first(b, b.input(4, 5, 3)))
    after = fires(cancel_transposes, b.done(b.add(Transpose((0, 2, 1)), patches)))
    assert [node.op for node in after.nodes] == [Reshape((BATCH, 20, 3))]


def test_a_reshape_that_splits_an_axis_is_done_first() -> None:
    b = Builder()
    heads = b.add(Reshape((BATCH, 2, 3, 4, 5)), _first(b, b.input(4, 5, 6)))
    after = fires(cancel_transposes, b.done(b.add(Transpose((0, 3, 4, 1, 2)), heads)))
    assert labels(after) == ["reshape"]


def test_a_reshape_that_mixes_what_was_moved_stays_behind_the_transpose() -> None:
    b = Builder()
    leaves_alone(cancel_transposes, b.done(b.add(Reshape((BATCH, 60)), _first(b, b.input(4, 5, 3)))))


@pytest.mark.parametrize(
    ("before", "after", "groups"),
    [
        ((2, 3, 4), (6, 4), [((0, 1), (0,)), ((2,), (1,))]),
        ((6, 4), (2, 3, 2, 2), [((0,), (0, 1)), ((1,), (2, 3))]),
        ((2, 6), (4, 3), [((0, 1), (0, 1))]),
        ((BATCH, 4, 5), (BATCH, 20), [((0,), (0,)), ((1, 2), (1,))]),
        ((BATCH, 4, 5), (BATCH * 4, 5), [((0, 1), (0,)), ((2,), (1,))]),
    ],
)
def test_groups_of_axes(before: tuple[int, ...], after: tuple[int, ...], groups: list[object]) -> None:
    found = axis_groups(before, after)
    assert found is not None
    assert [(group.before, group.after) for group in found] == groups
