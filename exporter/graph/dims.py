"""Symbolic dimensions: the free sizes of a graph (``batch``) and what shape arithmetic makes of them (``batch*49``).

A `Dim` is an int or a `Sym`. A `Sym` is a polynomial with integer coefficients over *atoms*: a name, or a floor
division that could not be simplified; the remainder of a division by a number is spelled with that division. Two
expressions that are equal as polynomials compare equal and print the same, so shapes can be compared, hashed and
written to a file as short strings.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..errors import FormatError, UsageError

MAX_NESTING = 32
"""Depth of parentheses a dimension in a file may have; shape arithmetic stays far below."""

MAX_TERMS = 4096
"""Terms a product of two dimensions may need; real shapes have a handful, only hostile files have more."""


@dataclass(frozen=True, order=True)
class _Quotient:
    """An atom ``numerator // denominator`` or ``numerator % denominator`` with no simpler form."""

    numerator: str
    operator: str
    denominator: str

    def __str__(self) -> str:
        return f"({self.numerator}){self.operator}({self.denominator})"


_Atom = str | _Quotient
_Monomial = tuple[_Atom, ...]


def _sort_key(monomial: _Monomial) -> tuple[int, list[str]]:
    return (-len(monomial), [str(atom) for atom in monomial])


class Sym:
    """A dimension that is not known until the graph runs.

    Supports ``+ - * // %`` with ints and other dimensions; results that turn out constant are plain ints again.
    """

    __slots__ = ("_terms", "_text")

    def __init__(self, terms: Mapping[_Monomial, int]) -> None:
        self._terms = {m: c for m, c in sorted(terms.items(), key=lambda item: _sort_key(item[0])) if c != 0}
        self._text = _to_text(self._terms)

    @staticmethod
    def named(name: str) -> Sym:
        """A free dimension; ``name`` is a letter followed by letters, digits and underscores."""
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise UsageError(
                "TP001",
                f"dimension name {name!r} is not an identifier",
                help='use a name such as "batch" or "height"',
            )
        return Sym({(name,): 1})

    @property
    def names(self) -> frozenset[str]:
        """The free names the expression depends on."""
        found: set[str] = set()
        for monomial in self._terms:
            for atom in monomial:
                if isinstance(atom, str):
                    found.add(atom)
                else:
                    found.update(dim_names(parse_dim(atom.numerator)), dim_names(parse_dim(atom.denominator)))
        return frozenset(found)

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """The size for given values of the free names; KeyError names one that is missing."""
        total = 0
        for monomial, coefficient in self._terms.items():
            product = coefficient
            for atom in monomial:
                product *= sizes[atom] if isinstance(atom, str) else _evaluate_quotient(atom, sizes)
            total += product
        return total

    def substitute(self, dims: Mapping[str, Dim]) -> Dim:
        """The expression with free names replaced by other dimensions."""
        total: Dim = 0
        for monomial, coefficient in self._terms.items():
            product: Dim = coefficient
            for atom in monomial:
                if isinstance(atom, str):
                    product = product * dims.get(atom, Sym.named(atom))
                else:
                    top = substitute_dim(parse_dim(atom.numerator), dims)
                    bottom = substitute_dim(parse_dim(atom.denominator), dims)
                    product = product * (top // bottom if atom.operator == "//" else top % bottom)
            total = total + product
        return total

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Sym({self._text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sym) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __add__(self, other: Dim) -> Dim:
        terms = dict(self._terms)
        for monomial, coefficient in _terms_of(other).items():
            terms[monomial] = terms.get(monomial, 0) + coefficient
        return _simplest(terms)

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return _simplest({m: -c for m, c in self._terms.items()})

    def __sub__(self, other: Dim) -> Dim:
        return self + (-other)

    def __rsub__(self, other: Dim) -> Dim:
        return (-self) + other

    def __mul__(self, other: Dim) -> Dim:
        terms: dict[_Monomial, int] = {}
        if len(self._terms) * len(_terms_of(other)) > MAX_TERMS:
            raise UsageError("TP001", f"a dimension may not have more than {MAX_TERMS} terms")
        for left, a in self._terms.items():
            for right, b in _terms_of(other).items():
                monomial = tuple(sorted(left + right, key=str))
                terms[monomial] = terms.get(monomial, 0) + a * b
        return _simplest(terms)

    __rmul__ = __mul__

    def __floordiv__(self, other: Dim) -> Dim:
        return _divide(self, other)

    def __rfloordiv__(self, other: Dim) -> Dim:
        return _divide(other, self)

    def __mod__(self, other: Dim) -> Dim:
        return _remainder(self, other)

    def __rmod__(self, other: Dim) -> Dim:
        return _remainder(other, self)


Dim = int | Sym
"""A size: known (int) or symbolic (Sym)."""


def dim_names(dim: Dim) -> frozenset[str]:
    """The free names a dimension depends on; empty for an int."""
    return dim.names if isinstance(dim, Sym) else frozenset()


def evaluate_dim(dim: Dim, sizes: Mapping[str, int]) -> int:
    """The size of ``dim`` once the free names have values."""
    return dim.evaluate(sizes) if isinstance(dim, Sym) else dim


def substitute_dim(dim: Dim, dims: Mapping[str, Dim]) -> Dim:
    """``dim`` with free names replaced."""
    return dim.substitute(dims) if isinstance(dim, Sym) else dim


def product(dims: Iterable[Dim]) -> Dim:
    """The number of elements of a shape."""
    result: Dim = 1
    for dim in dims:
        result = result * dim
    return result


def never_negative(dim: Dim) -> bool:
    """Whether a dimension is known to be 0 or more for all sizes from 1 on."""
    if isinstance(dim, int):
        return dim >= 0
    if all(c > 0 for c in dim._terms.values()) and all(map(_is_positive_or_zero, itertools.chain(*dim._terms))):
        return True
    period = _period(dim)
    if len(dim.names) != 1 or period is None or 2 * period > MAX_TERMS:
        return False
    (name,) = dim.names
    values = [dim.evaluate({name: size}) for size in range(1, 2 * period + 1)]
    return min(values) >= 0 and all(a <= b for a, b in zip(values, values[period:], strict=False))


def _is_positive_or_zero(atom: _Atom) -> bool:
    if isinstance(atom, str):
        return True
    denominator = parse_dim(atom.denominator)
    known = isinstance(denominator, int) and denominator > 0
    return known and (atom.operator == "%" or never_negative(parse_dim(atom.numerator)))


def _period(dim: Dim) -> int | None:
    """How far apart sizes are between which the dim grows evenly; None where it is not linear in that sense."""
    period = 1
    for monomial in dim._terms if isinstance(dim, Sym) else ():
        if len(monomial) > 1:
            return None
        for atom in monomial:
            if isinstance(atom, _Quotient):
                inner, denominator = _period(parse_dim(atom.numerator)), parse_dim(atom.denominator)
                if inner is None or not isinstance(denominator, int):
                    return None
                period = math.lcm(period, inner * denominator)
    return period


def exact_quotient(numerator: Dim, denominator: Dim) -> Dim | None:
    """``numerator / denominator`` where it is known to divide without remainder for every size, else None."""
    if isinstance(denominator, int):
        if denominator == 0:
            return None
        terms = _terms_of(numerator)
        if all(c % denominator == 0 for c in terms.values()):
            return _simplest({m: c // denominator for m, c in terms.items()})
        return None
    if len(denominator._terms) != 1:
        return 1 if numerator == denominator else None
    (divisor, factor), *_ = denominator._terms.items()
    quotient: dict[_Monomial, int] = {}
    for monomial, coefficient in _terms_of(numerator).items():
        rest = list(monomial)
        for atom in divisor:
            if atom not in rest:
                return None
            rest.remove(atom)
        if coefficient % factor:
            return None
        quotient[tuple(rest)] = coefficient // factor
    return _simplest(quotient)


@functools.lru_cache(4096)
def parse_dim(text: str) -> Dim:
    """The dimension a text such as ``batch*49 + 1`` denotes; FormatError when it is not one."""
    parser = _Parser(text)
    dim = parser.sum(0)
    if parser.peek():
        raise parser.error()
    return dim


def _terms_of(dim: Dim) -> dict[_Monomial, int]:
    if isinstance(dim, Sym):
        return dim._terms
    return {(): dim} if dim else {}


def _simplest(terms: Mapping[_Monomial, int]) -> Dim:
    kept = {m: c for m, c in terms.items() if c != 0}
    if not kept:
        return 0
    if set(kept) == {()}:
        return kept[()]
    return Sym(kept)


def _split(dim: Dim, divisor: int) -> tuple[Dim, Dim]:
    """``dim == quotient * divisor + rest``: the rest has coefficients near 0, and a constant from 0 on."""
    quotient: dict[_Monomial, int] = {}
    rest: dict[_Monomial, int] = {}
    for monomial, coefficient in _terms_of(dim).items():
        nearest = (2 * abs(coefficient) + divisor - 1) // (2 * divisor) * (1 if coefficient > 0 else -1)
        whole = nearest if monomial else coefficient // divisor
        quotient[monomial], rest[monomial] = whole, coefficient - whole * divisor
    return _simplest(quotient), _simplest(rest)


def _divide(numerator: Dim, denominator: Dim) -> Dim:
    exact = exact_quotient(numerator, denominator)
    if exact is not None:
        return exact
    if isinstance(denominator, int) and denominator > 0:
        whole, rest = _split(numerator, denominator)
        return whole + (rest // denominator if isinstance(rest, int) else _quotient(rest, denominator))
    rounded = _rounded_quotient(numerator, denominator)
    return Sym({(_Quotient(str(numerator), "//", str(denominator)),): 1}) if rounded is None else rounded


def _rounded_quotient(numerator: Dim, denominator: Dim) -> Dim | None:
    """``(batch*n + n - 1) // n`` is batch: what divides without remainder, and a number that the divisor exceeds."""
    divisors = _terms_of(denominator)
    if len(divisors) != 1 or not all(isinstance(atom, str) for monomial in divisors for atom in monomial):
        return None
    rest = _terms_of(numerator).get((), 0)
    (least,) = divisors.values()  # free sizes are 1 or more
    whole = exact_quotient(numerator - rest, denominator) if -least <= rest < least else None
    return None if whole is None else whole - 1 if rest < 0 else whole


def _quotient(numerator: Sym, denominator: int) -> Dim:
    """``numerator // denominator`` in the one form that equal quotients share, for what `_split` leaves."""
    constant = numerator._terms.get((), 0)
    variable = {monomial: c for monomial, c in numerator._terms.items() if monomial}
    if next(iter(variable.values())) < 0:  # -h // 2 is -((h + 1) // 2)
        return -_divide(denominator - 1 - numerator, denominator)
    common = math.gcd(denominator, *variable.values())
    if common > 1:  # (2h + 1) // 4 is h // 2
        reduced = {monomial: c // common for monomial, c in variable.items()}
        return _divide(_simplest({**reduced, (): constant // common}), denominator // common)
    inner = [monomial for monomial in variable if any(isinstance(atom, _Quotient) for atom in monomial)]
    if len(inner) == 1 and len(inner[0]) == 1 and variable[inner[0]] == 1:
        atom = inner[0][0]
        if isinstance(atom, _Quotient) and atom.operator == "//" and atom.denominator.isdigit():
            # (h // 2 + 1) // 3 is (h + 2) // 6
            divisor = int(atom.denominator)
            others = numerator - Sym({(atom,): 1})
            return _divide(parse_dim(atom.numerator) + others * divisor, denominator * divisor)
    return Sym({(_Quotient(str(numerator), "//", str(denominator)),): 1})


def _remainder(numerator: Dim, denominator: Dim) -> Dim:
    if exact_quotient(numerator, denominator) is not None:
        return 0
    if isinstance(denominator, int) and denominator > 0:
        return numerator - _divide(numerator, denominator) * denominator
    return Sym({(_Quotient(str(numerator), "%", str(denominator)),): 1})


def _evaluate_quotient(atom: _Quotient, sizes: Mapping[str, int]) -> int:
    top = evaluate_dim(parse_dim(atom.numerator), sizes)
    bottom = evaluate_dim(parse_dim(atom.denominator), sizes)
    return top // bottom if atom.operator == "//" else top % bottom


def _to_text(terms: Mapping[_Monomial, int]) -> str:
    parts: list[str] = []
    for monomial, coefficient in terms.items():
        # A quotient after another factor needs parentheses: a*(b)//(2) would read as (a*b)//(2).
        factors = [f"({atom})" if i and isinstance(atom, _Quotient) else str(atom) for i, atom in enumerate(monomial)]
        if abs(coefficient) != 1 or not factors:
            factors.append(str(abs(coefficient)))
        sign = "-" if coefficient < 0 else ("+" if parts else "")
        parts.append(sign + "*".join(factors))
    return "".join(parts) or "0"


class _Parser:
    """Recursive descent over ``sum := term (+|- term)*``, ``term := factor (*|//|% factor)*``."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = re.findall(r"//|[-+*%()]|[0-9]+|[A-Za-z_][A-Za-z0-9_]*|\S", text)
        self.position = 0

    def error(self) -> FormatError:
        return FormatError("TP402", f"dimension {self.text[:80]!r} is not an expression of names and whole numbers")

    def peek(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def next(self) -> str:
        token = self.peek()
        self.position += 1
        return token

    def sum(self, depth: int) -> Dim:
        if depth > MAX_NESTING:
            raise self.error()
        negative = self.peek() == "-"
        if negative:
            self.next()
        total = -self.term(depth) if negative else self.term(depth)
        while self.peek() in ("+", "-"):
            total = total + self.term(depth) if self.next() == "+" else total - self.term(depth)
        return total

    def term(self, depth: int) -> Dim:
        value = self.factor(depth)
        while self.peek() in ("*", "//", "%"):
            operator = self.next()
            other = self.factor(depth)
            if operator == "*":
                value = value * other
            elif other == 0:
                raise self.error()
            else:
                value = value // other if operator == "//" else value % other
        return value

    def factor(self, depth: int) -> Dim:
        token = self.next()
        if token == "(":
            value = self.sum(depth + 1)
            if self.next() != ")":
                raise self.error()
            return value
        if re.fullmatch(r"[0-9]{1,19}", token):
            return int(token)
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", token):
            return Sym.named(token)
        raise self.error()
