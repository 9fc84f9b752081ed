"""Another size for each free dim: what is true at the sizes of one example alone is not yet free."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping

from .conditions import allows
from .graph import Graph

_FAR = 64
"""Sizes up to this much larger are tried."""


def further_sizes(graph: Graph, sizes: Mapping[str, int], keep: Collection[str] = ()) -> dict[str, int]:
    """The sizes with another one for each free dim, but for those to keep and those that can have one size only.

    The other is smaller, which is quick; where the graph takes integers it is larger, because they may be places along
    the free axis (the last word of each text), which have to be there.
    """
    larger = any(value.type.dtype.is_integer for value in graph.inputs)
    changed = dict(sizes)
    for i, name in enumerate(name for name in sizes if name not in keep):
        for size in _candidates(sizes[name], i, larger=larger):
            if allows(graph, changed | {name: size}):
                changed[name] = size
                break
    return changed


def _candidates(size: int, i: int, *, larger: bool) -> Iterable[int]:
    """Other sizes than this one, the best first; ``i`` keeps dims of equal size apart. 1 is like no other size."""
    half = size // 2 + 1 + i
    smaller = () if larger else itertools.chain(range(half, size), range(min(half, size) - 1, 1, -1))
    return itertools.chain(smaller, range(size + 1 + i, size + 1 + i + _FAR))
