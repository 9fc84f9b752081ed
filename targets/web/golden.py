"""Golden samples for the bundle's self-test: golden.bin says what they are and holds the arrays.

Inputs that a recipe makes are made again in the browser (runtime/golden.js); only the others are stored.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...exporter.graph import Array, DType, Recipe, Sample
from .dtypes import device_array, device_dtype
from .plan import canonical_json

TOLERANCE = 2e-5
"""Largest difference from the recorded float output that passes, as a share of its range: 1e-5 for the port, as much
for the model that recorded it."""

ALIGNMENT = 4
"""Bytes: JavaScript's typed arrays start at a multiple of their element size."""


def golden_file(samples: Sequence[Sample]) -> bytes:
    """golden.bin: the length of a list in JSON as a uint32, that list, and the arrays that it places."""
    listed, arrays = _packed(samples)
    head = canonical_json(listed)
    head += b" " * (-len(head) % ALIGNMENT)
    return struct.pack("<I", len(head)) + head + arrays


def _packed(samples: Sequence[Sample]) -> tuple[list[dict[str, Any]], bytes]:
    """The samples as data, and the bytes of their arrays."""
    blob = bytearray()
    listed = []
    for sample in samples:
        inputs = {name: _recipe(recipe) for name, recipe in sample.recipes.items()}
        inputs |= {name: _stored(array, name, blob) for name, array in sample.stored_inputs.items()}
        outputs = {
            name: _stored(array, name, blob) | {"tolerance": tolerance(array)} for name, array in sample.outputs.items()
        }
        listed.append({"inputs": inputs, "outputs": outputs})
    return listed, bytes(blob)


def tolerance(expected: Array) -> float:
    """Largest difference that the self-test accepts: 0 for integers."""
    if not DType.of(expected).is_float:
        return 0.0
    finite = expected[np.isfinite(expected)].astype(np.float64)
    if not finite.size:
        return 0.0
    span = float(finite.max() - finite.min())
    # One value alone, or a constant output, has no range: its size stands in.
    return TOLERANCE * (span or max(1.0, float(np.abs(finite).max())))


def _stored(array: Array, name: str, blob: bytearray) -> dict[str, Any]:
    cells = device_array(array, name)
    blob.extend(bytes(-len(blob) % ALIGNMENT))
    at = len(blob)
    blob.extend(cells.tobytes())
    return {"dtype": DType.of(cells).value, "shape": list(cells.shape), "at": at}


def _recipe(recipe: Recipe) -> dict[str, Any]:
    whole = not recipe.dtype.is_float
    low, high = (int(recipe.low), int(recipe.high)) if whole else (recipe.low, recipe.high)
    return {
        "dtype": device_dtype(recipe.dtype).value,
        "shape": list(recipe.shape),
        "seed": recipe.seed,
        "low": low,
        "high": high,
    }
