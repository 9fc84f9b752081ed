from __future__ import annotations

import pytest
from passes.build import BATCH, Builder, fires, labels, leaves_alone

from triport.exporter.graph import Value
from triport.exporter.ops import Add, Concat, Expand
from triport.exporter.passes.pad_for_constant_rows import pad_for_constant_rows


def _rows(b: Builder, count: int, width: int = 4) -> Value:
    return b.add(Expand((BATCH, count, 4)), b.constant(1, count, width))


@pytest.mark.parametrize("shift", [(1, 8, 4), (8, 4), (4,), (1, 8, 1), ()])
def test_a_token_before_and_two_behind_are_part_of_the_sum(shift: tuple[int, ...]) -> None:
    b = Builder()
    whole = b.add(Concat(1), _rows(b, 1), b.input(5, 4), _rows(b, 2, 1))
    assert labels(fires(pad_for_constant_rows, b.done(b.add(Add(), whole, b.constant(*shift))))) == ["pad", "add"]


def test_one_row_that_is_repeated_is_in_each_of_its_places() -> None:
    b = Builder()
    repeated = b.add(Expand((BATCH, 3, 4)), b.constant(1, 1, 4))
    whole = b.add(Concat(1), b.input(5, 4), repeated)
    assert labels(fires(pad_for_constant_rows, b.done(b.add(Add(), whole, b.constant(8, 4))))) == ["pad", "add"]


def test_the_constant_may_come_first() -> None:
    b = Builder()
    y = b.add(Add(), b.constant(6, 4), b.add(Concat(-2), _rows(b, 1), b.input(5, 4)))
    assert labels(fires(pad_for_constant_rows, b.done(y))) == ["pad", "add"]


def test_rows_stay_where_nothing_constant_is_added() -> None:
    b = Builder()
    whole = b.add(Concat(1), _rows(b, 1), b.input(5, 4))
    leaves_alone(pad_for_constant_rows, b.done(b.add(Add(), whole, b.input(6, 4, name="z"))))


def test_rows_stay_where_something_else_reads_them() -> None:
    b = Builder()
    whole = b.add(Concat(1), _rows(b, 1), b.input(5, 4))
    leaves_alone(pad_for_constant_rows, b.done(b.add(Add(), whole, b.constant(6, 4)), whole))


def test_two_tensors_of_the_model_stay_side_by_side() -> None:
    b = Builder()
    whole = b.add(Concat(1), _rows(b, 1), b.input(5, 4), b.input(5, 4, name="z"))
    leaves_alone(pad_for_constant_rows, b.done(b.add(Add(), whole, b.constant(11, 4))))
