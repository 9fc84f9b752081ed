"""Products that read their second operand transposed."""

from __future__ import annotations

import pytest
from passes.build import Builder, fires, labels, leaves_alone

from triport.exporter.ops import MatMul, Relu, Transpose
from triport.exporter.passes.fold_transpose_into_matmul import fold_transpose_into_matmul


def test_keys_that_are_transposed_for_the_product_are_read_so() -> None:
    b = Builder()
    keys = b.add(Transpose((0, 1, 3, 2)), b.input(2, 5, 4, name="k"))
    after = fires(fold_transpose_into_matmul, b.done(b.add(MatMul(), b.input(2, 3, 4), keys)))
    assert [node.op for node in after.nodes] == [MatMul(transpose_b=True)]


def test_two_transposes_of_the_keys_are_none() -> None:
    b = Builder()
    keys = b.add(Transpose((0, 1, 3, 2)), b.input(2, 4, 5, name="k"))
    after = fires(fold_transpose_into_matmul, b.done(b.add(MatMul(transpose_b=True), b.input(2, 3, 4), keys)))
    assert [node.op for node in after.nodes] == [MatMul()]


def test_a_transpose_that_moves_more_keeps_the_last_axis_then() -> None:
    b = Builder()
    keys = b.add(Transpose((0, 2, 3, 1)), b.input(5, 2, 4, name="k"))
    after = fires(fold_transpose_into_matmul, b.done(b.add(MatMul(), b.input(2, 3, 4), keys)))
    assert [node.op for node in after.nodes] == [Transpose((0, 2, 1, 3)), MatMul(transpose_b=True)]


def test_one_that_keeps_the_last_axis_is_left_alone() -> None:
    b = Builder()
    values = b.add(Transpose((0, 2, 1, 3)), b.input(5, 2, 4, name="k"))
    leaves_alone(fold_transpose_into_matmul, b.done(b.add(MatMul(), b.input(2, 3, 5), values)))


@pytest.mark.parametrize("perm", [(0, 1, 3, 2), (0, 2, 3, 1)])
def test_others_keep_the_transpose_that_they_read(perm: tuple[int, ...]) -> None:
    b = Builder()
    shape = (2, 5, 4) if perm[1] == 1 else (5, 2, 4)
    keys = b.add(Transpose(perm), b.input(*shape, name="k"))
    graph = b.done(b.add(MatMul(), b.input(2, 3, 4), keys), b.add(Relu(), keys))
    if perm[1] == 1:
        assert labels(fires(fold_transpose_into_matmul, graph)) == ["transpose", "relu", "mat_mul"]
    else:
        leaves_alone(fold_transpose_into_matmul, graph)


def test_a_product_of_a_tensor_with_its_own_transpose() -> None:
    b = Builder()
    x = b.input(2, 4, 4)
    turned = b.add(Transpose((0, 1, 3, 2)), x)
    after = fires(fold_transpose_into_matmul, b.done(b.add(MatMul(), x, turned)))
    assert labels(after) == ["mat_mul"]

    b = Builder()
    turned = b.add(Transpose((0, 2, 3, 1)), b.input(4, 4, 4))
    leaves_alone(fold_transpose_into_matmul, b.done(b.add(MatMul(), turned, turned)))
