"""ATen einsum: sums of products by named axes, as matrix products.

"bqhd,bkhd->bhqk"   axes in both operands and in what is still to come: batch (b, h)
                    in both and nowhere else: inner (d)
                    in one only: rows (q) or columns (k)

    transpose to [batch, rows, inner] and [batch, inner, columns], multiply, transpose to the order asked for
"""

from __future__ import annotations

from dataclasses import dataclass

from ..graph import Dim, Shape, Value
from ..graph.dims import product
from ..ops import Mul, ReduceSum, Slice, Transpose
from .context import Context
from .linear import matmul, reshaped
from .registry import captures


@dataclass(frozen=True)
class _Term:
    """A tensor whose axes have names, each once; the axes of an ellipsis are called "0", "1" … from the back."""

    value: Value
    axes: tuple[str, ...]

    def size(self, axis: str) -> Dim:
        return self.value.type.shape[self.axes.index(axis)]


@captures("einsum")
def einsum(context: Context, equation: str, operands: list[Value], path: object) -> Value:
    left, arrow, right = equation.replace(" ", "").partition("->")
    named = [_named(label, value.type.rank) for label, value in zip(left.split(","), operands, strict=True)]
    hidden = max((sum(axis.isdigit() for axis in axes) for axes in named), default=0)
    everywhere = [axis for axes in named for axis in axes]
    ellipsis = [str(i) for i in reversed(range(hidden))]
    if arrow:
        before, dots, after = right.partition("...")
        wanted = [*before, *(ellipsis if dots else ()), *after]
    else:
        once = sorted(axis for axis in set(everywhere) if everywhere.count(axis) == 1 and not axis.isdigit())
        wanted = [*ellipsis, *once]
    terms = [_without_repeats(context, value, axes) for value, axes in zip(operands, named, strict=True)]
    terms = [_summed(context, term, _later(terms[:i] + terms[i + 1 :], wanted)) for i, term in enumerate(terms)]
    result = terms[0]
    for i, term in enumerate(terms[1:], 1):
        result = _contract(context, result, term, _later(terms[i + 1 :], wanted))
    result = _summed(context, result, set(wanted))
    return _ordered(context, result, wanted).value


@captures("tensordot")
def tensordot(context: Context, a: Value, b: Value, of_a: list[int], of_b: list[int]) -> Value:
    """Sums over pairs of axes; the axes of a that stay come before those of b."""
    names_a = [f"a{axis}" for axis in range(a.type.rank)]
    names_b = [f"b{axis}" for axis in range(b.type.rank)]
    for i, j in zip(of_a, of_b, strict=True):
        names_b[j] = names_a[i]
    wanted = [name for name in (*names_a, *names_b) if (name in names_a) != (name in names_b)]
    result = _contract(context, _Term(a, tuple(names_a)), _Term(b, tuple(names_b)), set(wanted))
    return _ordered(context, result, wanted).value


def _named(labels: str, rank: int) -> list[str]:
    before, dots, after = labels.partition("...")
    hidden = rank - len(before) - len(after) if dots else 0
    return [*before, *(str(i) for i in reversed(range(hidden))), *after]


def _later(terms: list[_Term], wanted: list[str]) -> set[str]:
    return set(wanted).union(*(term.axes for term in terms))


def _without_repeats(context: Context, x: Value, axes: list[str]) -> _Term:
    """The diagonal of two axes of one name: every (n + 1)-th cell when both are laid out as one."""
    for name in axes:
        while axes.count(name) > 1:
            first = axes.index(name)
            second = axes.index(name, first + 1)
            others = [axis for axis in range(len(axes)) if axis not in (first, second)]
            size = context.static(x.type.shape[first], "the size of a diagonal")
            x = context.add(Transpose((*others, first, second)), x)
            x = reshaped(context, x, (*x.type.shape[:-2], size * size))
            x = context.add(Slice((len(others),), (0,), (size * size,), (size + 1,)), x)
            axes = [*(axes[axis] for axis in others), name]
    return _Term(x, tuple(axes))


def _summed(context: Context, term: _Term, needed: set[str]) -> _Term:
    """Without the axes that nobody asks for."""
    gone = tuple(i for i, axis in enumerate(term.axes) if axis not in needed)
    if not gone:
        return term
    kept = tuple(axis for axis in term.axes if axis in needed)
    return _Term(context.add(ReduceSum(gone, False), term.value), kept)


def _ordered(context: Context, term: _Term, axes: list[str]) -> _Term:
    """With its axes in an order; those it lacks come in with size 1."""
    present = [axis for axis in axes if axis in term.axes]
    perm = tuple(term.axes.index(axis) for axis in present)
    x = term.value if perm == tuple(range(len(perm))) else context.add(Transpose(perm), term.value)
    shape = tuple(term.size(axis) if axis in term.axes else 1 for axis in axes)
    return _Term(reshaped(context, x, shape), tuple(axes))


def _contract(context: Context, a: _Term, b: _Term, needed: set[str]) -> _Term:
    """The product of two terms, summed over what both have and nobody needs any more."""
    a, b = _unstretched(context, a, b, needed)
    shared = [axis for axis in a.axes if axis in b.axes]
    batch = [axis for axis in shared if axis in needed]
    inner = [axis for axis in shared if axis not in needed]
    rows = [axis for axis in a.axes if axis not in shared]
    columns = [axis for axis in b.axes if axis not in shared]
    every = [*batch, *rows, *columns]
    if not inner:
        left, right = _ordered(context, a, every), _ordered(context, b, every)
        return _Term(context.add(Mul(), left.value, right.value), tuple(every))
    depth = product(tuple(a.size(axis) for axis in inner))
    left, right = _ordered(context, a, [*batch, *rows, *inner]), _ordered(context, b, [*batch, *inner, *columns])
    height, width = (product(tuple(t.size(axis) for axis in axes)) for t, axes in ((a, rows), (b, columns)))
    outer_a, outer_b, outer = _outer(left, right, batch)
    matrices = (
        reshaped(context, left.value, (*outer_a, height, depth)),
        reshaped(context, right.value, (*outer_b, depth, width)),
    )
    y = matmul(context, *matrices)
    shape = (*outer, *(a.size(axis) for axis in rows), *(b.size(axis) for axis in columns))
    return _Term(reshaped(context, y, shape), tuple(every))


def _outer(a: _Term, b: _Term, batch: list[str]) -> tuple[Shape, Shape, Shape]:
    """Batch axes for both operands, merged into one where neither is stretched, and those of the result."""
    of_a, of_b = (tuple(t.size(axis) for axis in batch) for t in (a, b))
    both = tuple(n if m == 1 else m for m, n in zip(of_a, of_b, strict=True))
    if of_a == of_b and len(batch) > 2:
        return (product(of_a),), (product(of_b),), both
    return of_a, of_b, both


def _unstretched(context: Context, a: _Term, b: _Term, needed: set[str]) -> tuple[_Term, _Term]:
    """Both without the inner axes that one of them has with size 1 only: the other is summed over them by itself."""
    shared = {axis for axis in a.axes if axis in b.axes and axis not in needed}
    gone = {axis for axis in shared if a.size(axis) != b.size(axis)}
    return _summed(context, a, set(a.axes) - gone), _summed(context, b, set(b.axes) - gone)
