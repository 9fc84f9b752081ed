"""Lets constants of equal content be one.

before:  %1 = add(%x, 1.0)    %2 = mul(%1, 1.0')
after:   %1 = add(%x, 1.0)    %2 = mul(%1, 1.0)

Of their names the shortest stays, so that a weight which several layers share keeps the one it was given.
"""

from __future__ import annotations

import hashlib

import numpy as np

from ..graph import Array, Graph, Value

HASHED_BYTES = 1 << 16
"""Larger arrays are compared only where dtype, shape and this many leading bytes agree."""

COMPARED_BYTES = 1 << 20
"""Compared at a time, so that comparing takes no memory worth the name."""


def merge_constants(graph: Graph) -> bool:
    """True when two constants became one."""
    seen: dict[tuple[object, ...], Value] = {}
    changed = False
    for value in graph.constants():
        first = seen.setdefault(_key(value), value)
        if first is not value and _equal(first.array(), value.array()):
            graph.replace(value, first)
            if len(value.name) < len(first.name):
                graph.rename(first, value.name)
            changed = True
    return changed


def _key(value: Value) -> tuple[object, ...]:
    array = value.array()
    head = array.flat[: HASHED_BYTES // max(array.itemsize, 1)]
    return (value.type, hashlib.sha1(head.tobytes(), usedforsecurity=False).digest())


def _equal(a: Array, b: Array) -> bool:
    """Bitwise: -0.0 is not 0.0, and NaN equals itself."""
    if a is b:
        return True
    step = max(COMPARED_BYTES // max(a.itemsize, 1), 1)
    left, right = np.ascontiguousarray(a).reshape(-1), np.ascontiguousarray(b).reshape(-1)
    return all(
        left[start : start + step].tobytes() == right[start : start + step].tobytes()
        for start in range(0, left.size, step)
    )
