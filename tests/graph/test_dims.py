"""Symbolic sizes: what is printed reads back as the same dimension, and means what the arithmetic means."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triport.exporter.errors import FormatError, UsageError
from triport.exporter.graph import Dim, Sym, evaluate_dim, parse_dim
from triport.exporter.graph.dims import MAX_TERMS

Expression = tuple[Dim, Callable[[dict[str, int]], int]]
"""A dimension, and the plain arithmetic it must agree with."""


def _named(name: str) -> Expression:
    return Sym.named(name), lambda sizes: sizes[name]


def _constant(value: int) -> Expression:
    return value, lambda sizes: value


def _combined(operator: str, left: Expression, right: Expression, divisor: int) -> Expression:
    (a, f), (b, g) = left, right
    match operator:
        case "+":
            return a + b, lambda sizes: f(sizes) + g(sizes)
        case "-":
            return a - b, lambda sizes: f(sizes) - g(sizes)
        case "*":
            return a * b, lambda sizes: f(sizes) * g(sizes)
        case "//":
            return a // divisor, lambda sizes: f(sizes) // divisor
        case _:
            return a % divisor, lambda sizes: f(sizes) % divisor


EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(
    st.sampled_from("abc").map(_named) | st.integers(-5, 5).map(_constant),
    lambda inner: st.builds(_combined, st.sampled_from(["+", "-", "*", "//", "%"]), inner, inner, st.integers(1, 5)),
    max_leaves=6,
)


@settings(deadline=None, max_examples=400)
@given(EXPRESSIONS, st.fixed_dictionaries({name: st.integers(1, 9) for name in "abc"}))
def test_printed_dimensions_read_back_and_mean_the_same(expression: Expression, sizes: dict[str, int]) -> None:
    dim, plain = expression
    assert evaluate_dim(dim, sizes) == plain(sizes)
    if isinstance(dim, Sym):
        again = parse_dim(str(dim))
        assert (again, str(again)) == (dim, str(dim))
        assert evaluate_dim(again, sizes) == plain(sizes)


def test_a_product_of_two_halves_is_not_half_of_a_product() -> None:
    height, width = Sym.named("h"), Sym.named("w")
    area = (height // 2) * (width // 2)
    assert evaluate_dim(parse_dim(str(area)), {"h": 3, "w": 3}) == 1


def test_a_product_that_explodes_is_refused() -> None:
    total: Dim = 0
    for i in range(65):
        total = total + Sym.named(f"n{i}")
    with pytest.raises(UsageError, match=str(MAX_TERMS)):
        total * total


@pytest.mark.parametrize("text", ["", "a+", "a b", "(a", "a)", "1.5", "a/b", "a//0", "é", "a" + "(" * 99])
def test_what_is_no_dimension_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        parse_dim(text)
