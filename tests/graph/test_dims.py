"""Symbolic sizes: one spelling, and the same answers as whole numbers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triport.exporter.errors import FormatError, UsageError
from triport.exporter.graph import Dim, Sym, evaluate_dim, parse_dim
from triport.exporter.graph.dims import dim_names, exact_quotient, never_negative, product, substitute_dim

NAMES = ("batch", "h", "w")
BATCH, H, W = (Sym.named(name) for name in NAMES)


class Expression:
    """A dim and, beside it, what its arithmetic means for whole numbers."""

    def __init__(self, dim: Dim, meaning: object) -> None:
        self.dim = dim
        self.meaning = meaning

    def value(self, sizes: dict[str, int]) -> int:
        return _value(self.meaning, sizes)


def _value(meaning: object, sizes: dict[str, int]) -> int:
    if isinstance(meaning, int):
        return meaning
    if isinstance(meaning, str):
        return sizes[meaning]
    assert isinstance(meaning, tuple)
    operator, left, right = meaning
    a, b = _value(left, sizes), _value(right, sizes)
    if operator == "+":
        return a + b
    if operator == "-":
        return a - b
    if operator == "*":
        return a * b
    return a // b if operator == "//" else a % b


def _combined(operator: str, left: Expression, right: Expression) -> Expression:
    a, b = left.dim, right.dim
    dim = {"+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "//": lambda: a // b, "%": lambda: a % b}[
        operator
    ]()
    return Expression(dim, (operator, left.meaning, right.meaning))


LEAVES = st.one_of(
    st.sampled_from([Expression(Sym.named(name), name) for name in NAMES]),
    st.integers(-9, 9).map(lambda n: Expression(n, n)),
)
DIVISORS = st.one_of(
    st.integers(1, 9).map(lambda n: Expression(n, n)),
    st.sampled_from([Expression(Sym.named(name), name) for name in NAMES]),
)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(_combined, st.sampled_from(["+", "-", "*"]), inner, inner),
        st.builds(_combined, st.sampled_from(["//", "%"]), inner, DIVISORS),
    ),
    max_leaves=6,
)
SIZES = st.fixed_dictionaries({name: st.integers(1, 40) for name in NAMES})


@settings(max_examples=150, deadline=None, derandomize=True)
@given(expression=EXPRESSIONS, sizes=SIZES)
def test_a_dim_evaluates_to_what_python_computes(expression: Expression, sizes: dict[str, int]) -> None:
    assert evaluate_dim(expression.dim, sizes) == expression.value(sizes)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(expression=EXPRESSIONS)
def test_the_text_of_a_dim_is_read_back_as_the_same_dim(expression: Expression) -> None:
    assert parse_dim(str(expression.dim)) == expression.dim


@settings(max_examples=150, deadline=None, derandomize=True)
@given(expression=EXPRESSIONS, inserted=EXPRESSIONS, sizes=SIZES)
def test_substituting_and_then_evaluating_is_evaluating_with_the_substitutes(
    expression: Expression, inserted: Expression, sizes: dict[str, int]
) -> None:
    size = inserted.value(sizes)
    if size < 1:  # sizes are positive: a divisor that becomes 0 or less has no meaning
        return
    try:
        substituted = substitute_dim(expression.dim, {"h": inserted.dim})
    except ZeroDivisionError:
        return
    assert evaluate_dim(substituted, sizes) == expression.value({**sizes, "h": size})


@settings(max_examples=100, deadline=None, derandomize=True)
@given(left=EXPRESSIONS, right=EXPRESSIONS, sizes=SIZES)
def test_an_exact_quotient_divides_for_every_size(left: Expression, right: Expression, sizes: dict[str, int]) -> None:
    quotient = exact_quotient(left.dim, right.dim)
    if quotient is not None and right.value(sizes) != 0:
        assert evaluate_dim(quotient, sizes) * right.value(sizes) == left.value(sizes)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(a=EXPRESSIONS, b=EXPRESSIONS)
def test_sums_and_products_do_not_depend_on_the_order(a: Expression, b: Expression) -> None:
    assert a.dim + b.dim == b.dim + a.dim
    assert a.dim * b.dim == b.dim * a.dim
    assert hash(a.dim + b.dim) == hash(b.dim + a.dim)
    assert (a.dim + b.dim) - b.dim == a.dim


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        (BATCH * 49, "batch*49"),
        (BATCH + 1, "batch+1"),
        (1 - BATCH, "-batch+1"),
        ((H + 1) // 2, "(h+1)//(2)"),
        ((H * 2 + 5) // 2, "h+2"),
        (BATCH * H * 4 // (H * 2), "batch*2"),
        (H % 2 + W, "-(h)//(2)*2+h+w"),
        (-((-H) // 2), "(h+1)//(2)"),
        (3 * H // 2, "(h)//(2)+h"),
        (H + 6 * H % 7, "(h+6)//(7)*7"),
        (H + (7 - H % 7) % 7, "(h+6)//(7)*7"),
        ((2 * H + 1) // 4, "(h)//(2)"),
        ((H // 2 + 1) // 3, "(h+2)//(6)"),
        (((H + 1) // 2 + 1) // 2, "(h+3)//(4)"),
        ((H // 2 + W) // 3, "(h+w*2)//(6)"),
        ((5 - H) // 3, "-(h)//(3)+1"),
        (H % W, "(h)%(w)"),
    ],
)
def test_spelling(dim: Dim, text: str) -> None:
    assert str(dim) == text


def test_what_turns_out_constant_is_a_whole_number() -> None:
    for dim in (BATCH - BATCH, BATCH // BATCH, BATCH * 0, (BATCH * 6) % 3, (BATCH + 2) - BATCH):
        assert isinstance(dim, int)


def test_names_and_products() -> None:
    assert dim_names((H + 1) // 2 * BATCH) == {"h", "batch"}
    assert product((BATCH, 3, H)) == BATCH * H * 3
    assert product(()) == 1


@pytest.mark.parametrize(
    "text", ["", "batch*", "(batch", "batch)", "1.5", "batch batch", "batch//0", "-", "2**3", "é", "9" * 30]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(FormatError):
        parse_dim(text)


def test_hostile_texts_are_refused_quickly() -> None:
    with pytest.raises(FormatError):
        parse_dim("(" * 5000 + "a" + ")" * 5000)
    with pytest.raises(UsageError):
        parse_dim("*".join(["(a+b+c+d+e+f+g+h)"] * 12))


def test_a_name_must_be_an_identifier() -> None:
    for name in ("", "2x", "a b", "a-b"):
        with pytest.raises(UsageError):
            Sym.named(name)


@pytest.mark.parametrize(
    ("dim", "expected"),
    [
        (3, True),
        (-1, False),
        (H * W + 2, True),
        ((H + W) // 3, True),
        (H // 2 - H // 4 * 2, True),
        ((7 - H % 7) % 7, True),
        (H - 1, True),
        (H - 2, False),
        (H // 3 - H // 2, False),
        (H // 2 - 2 * (H // 3), False),
        (H - W, False),
        (W * (H - H // 2 * 2), False),
    ],
)
def test_what_is_known_to_be_never_negative(dim: Dim, expected: bool) -> None:
    assert never_negative(dim) == expected


@settings(max_examples=150, deadline=None, derandomize=True)
@given(expression=EXPRESSIONS, sizes=SIZES)
def test_never_negative_holds_for_every_size(expression: Expression, sizes: dict[str, int]) -> None:
    if never_negative(expression.dim):
        assert expression.value(sizes) >= 0


@pytest.mark.parametrize(
    ("text", "quotient"),
    [
        ("(batch*n + n - 1) // n", "batch"),
        ("(batch*n*3 + 2) // (n*3)", "batch"),
        ("(batch*n + 1) // n", "(batch*n+1)//(n)"),
        ("(batch - 1) // (n - 5)", "(batch-1)//(n-5)"),
    ],
)
def test_what_a_free_divisor_exceeds_is_rounded_away(text: str, quotient: str) -> None:
    dim = parse_dim(text)
    assert str(dim) == quotient
    for n in (1, 2, 7):
        numerator, _, denominator = text.partition("//")
        sizes = {"batch": 3, "n": n}
        assert evaluate_dim(dim, sizes) == eval(numerator, {}, sizes) // eval(denominator, {}, sizes)
