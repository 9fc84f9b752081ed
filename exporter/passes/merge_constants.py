"""Lets constants of equal content be one.

before:  %1 = add(%x, 1.0)    %2 = mul(%1, 1.0')
after:   %1 = add(%x, 1.0)    %2 = mul(%1, 1.0)
"""

from __future__ import annotations

import hashlib

from ..graph import Graph, Value

HASHED_BYTES = 1 << 16
"""Larger arrays are compared only where dtype, shape and this many leading bytes agree."""


def merge_constants(graph: Graph) -> bool:
    """True when two constants became one."""
    seen: dict[tuple[object, ...], Value] = {}
    changed = False
    for value in graph.constants():
        key = _key(value)
        first = seen.setdefault(key, value)
        if first is not value and _equal(first, value):
            graph.replace(value, first)
            changed = True
    return changed


def _key(value: Value) -> tuple[object, ...]:
    array = value.array()
    head = array.reshape(-1)[: HASHED_BYTES // max(array.itemsize, 1)]
    return (value.type, value.quantization, hashlib.sha1(head.tobytes(), usedforsecurity=False).digest())


def _equal(a: Value, b: Value) -> bool:
    """Bitwise: -0.0 is not 0.0, and NaN equals itself."""
    left, right = a.array(), b.array()
    return left is right or left.tobytes() == right.tobytes()
