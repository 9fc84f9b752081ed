from __future__ import annotations

import pytest
from passes.build import BATCH, TO_FIRST, Builder, count, fires, leaves_alone

from triport.exporter.graph import Value
from triport.exporter.ops import Add, Concat, Linear, Relu, Reshape, Softmax, Tanh, Transpose
from triport.exporter.passes.fold_transpose_into_linear import fold_transpose_into_linear


def _flat(b: Builder, x: Value) -> Value:
    """[batch, 2, 3, 4] in channels-last order, flattened as if it were channels first."""
    return b.add(Reshape((BATCH, 24)), b.add(Transpose(TO_FIRST), x))


def test_weight_takes_in_the_transpose_before_a_flatten() -> None:
    b = Builder()
    after = fires(fold_transpose_into_linear, b.done(b.linear(_flat(b, b.input(2, 3, 4)), 5)))
    assert count(after, Transpose) == 0
    assert [value.name for value in after.nodes[-1].inputs[1:]] == ["linear.weight", "linear.bias"]


@pytest.mark.parametrize("perm", [(0, 1, 3, 2), (0, 2, 1, 3), (0, 2, 3, 1), (0, 3, 2, 1)])
def test_any_permutation_that_keeps_the_batch_is_taken_in(perm: tuple[int, ...]) -> None:
    b = Builder()
    x = b.add(Reshape((BATCH, 24)), b.add(Transpose(perm), b.input(2, 3, 4)))
    assert count(fires(fold_transpose_into_linear, b.done(b.linear(x, 5))), Transpose) == 0


def test_cellwise_ops_in_between_do_not_hinder() -> None:
    b = Builder()
    x = b.add(Tanh(), b.add(Relu(), _flat(b, b.input(2, 3, 4))))
    assert count(fires(fold_transpose_into_linear, b.done(b.linear(x, 5), b.linear(x, 2, "other"))), Transpose) == 0


def test_a_weight_that_another_layer_shares_is_not_changed_for_it() -> None:
    b = Builder()
    weight = b.constant(24, 24, name="shared")
    h = b.add(Linear(), _flat(b, b.input(2, 3, 4)), weight)
    after = fires(fold_transpose_into_linear, b.done(b.add(Linear(), h, weight)))
    assert count(after, Transpose) == 0


def test_transpose_stays_where_somebody_else_reads_the_flat_tensor() -> None:
    for other in (Softmax(1), Add(), Concat(1)):
        b = Builder()
        flat = _flat(b, b.input(2, 3, 4))
        operands = [flat] if isinstance(other, Softmax) else [flat, flat]
        leaves_alone(fold_transpose_into_linear, b.done(b.linear(flat, 5), b.add(other, *operands)))


def test_transpose_stays_where_the_flat_tensor_is_an_output() -> None:
    b = Builder()
    flat = _flat(b, b.input(2, 3, 4))
    leaves_alone(fold_transpose_into_linear, b.done(b.linear(flat, 5), flat))


def test_transpose_stays_before_a_reshape_that_does_not_flatten() -> None:
    b = Builder()
    x = b.add(Reshape((BATCH, 6, 4)), b.add(Transpose(TO_FIRST), b.input(2, 3, 4)))
    leaves_alone(fold_transpose_into_linear, b.done(b.linear(x, 5)))


def test_transpose_that_moves_the_batch_stays() -> None:
    b = Builder()
    x = b.add(Transpose((1, 0)), b.input(4))
    leaves_alone(fold_transpose_into_linear, b.done(b.add(Reshape((4, BATCH)), x)))


def test_transpose_stays_where_the_weight_is_computed() -> None:
    b = Builder()
    weight = b.graph.add_input("w", b.constant(5, 24).type)
    leaves_alone(fold_transpose_into_linear, b.done(b.add(Linear(), _flat(b, b.input(2, 3, 4)), weight)))
