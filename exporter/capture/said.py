"""Conditions on sizes in words: ``"height" is no multiple of 32 (model.py:41 (if h % 32:))``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..graph.dims import Dim, dim_names

_PERIODS = 64
"""Conditions that come back at longer distances are not spelt out."""

_FEW = 4

_RELATIONS = {
    "==": "equals",
    "!=": "differs from",
    "<": "is less than",
    "<=": "is at most",
    ">": "is greater than",
    ">=": "is at least",
}


def rests_in_words(name: str, holds: Callable[[int], bool]) -> str:
    """What the sizes have in common for which something holds; "" where they do not come back at even distances."""
    found = [holds(size) for size in range(4 * _PERIODS)]
    for period in range(2, _PERIODS + 1):
        if any(a != b for a, b in zip(found[2:], found[2 + period :], strict=False)):
            continue
        rests = sorted({size % period for size in range(2, 2 + period) if found[size]})
        others = sorted({*range(period)} - {*rests})
        if not rests or not others:
            return ""
        if period == 2:
            return f'"{name}" is {"odd" if rests == [1] else "even"}'
        if others == [0] or rests == [0]:
            return f'"{name}" is {"a" if rests == [0] else "no"} multiple of {period}'
        if len(rests) == 1:
            return f'"{name}" is {rests[0]} more than a multiple of {period}'
        if len(rests) <= _FEW:
            return f'"{name}" leaves {_either(rests)} when divided by {period}'
        if len(others) <= _FEW:
            return f'"{name}" does not leave {_either(others)} when divided by {period}'
        return ""
    return ""


def relation_in_words(left: Dim, relation: str, right: Dim) -> str:
    """A comparison of plain sizes; "" for one of computed sizes."""
    if not all(isinstance(side, int) or dim_names(side) == {str(side)} for side in (left, right)):
        return ""
    spelt = [str(side) if isinstance(side, int) else f'"{side}"' for side in (left, right)]
    return f"{spelt[0]} {_RELATIONS[relation]} {spelt[1]}"


def like_the_example(sizes: Mapping[str, int]) -> str:
    """For questions that have no short name."""
    listed = ", ".join(f'"{name}" {size}' for name, size in sizes.items())
    return f"the model goes the same way as in the example ({listed})"


def _either(numbers: list[int]) -> str:
    *others, last = map(str, numbers)
    return f"{', '.join(others)} or {last}"
