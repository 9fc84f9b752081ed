"""Filters as integers: symmetric, one scale a filter, and the bias in steps of the products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..exporter.graph import Array
from ..targets.pairs import LARGEST_PAIR, neighbours

Rows = npt.NDArray[np.float64]
Scales = npt.NDArray[np.float64]

HIGHEST = 127
"""Weights are symmetric: -127 … 127. -128 would overflow 16 bits in a product with itself on old ARM cores."""

MOST_BIAS = 2**30
"""Steps. Half of int32; the other half is left to the products."""

LEAST_FACTOR = 2.0**-31
"""XNNPACK takes no filter whose steps are less than 2**-32 steps of the output."""

MOST_FACTOR = 255.0
"""… nor one whose steps are 256 steps of the output or more."""

SPARED = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How far a scale is tried on the way to one at which no pair has to be cut."""


@dataclass(frozen=True)
class Filters:
    """codes int8 [O, …] of which none is beyond ±``largest``, scale float32 [O], bias int32 [O]"""

    codes: npt.NDArray[np.int8]
    scale: npt.NDArray[np.float32]
    bias: npt.NDArray[np.int32]
    largest: int = HIGHEST


def quantized_filters(
    weight: Array, bias: Array | None, x_scale: float, y_scale: float, *, pairs: bool = False
) -> Filters:
    """Codes of a weight whose first axis counts the filters.

    The scale of a filter is its largest weight / 127, raised where the bias would not fit into `MOST_BIAS` steps, and
    kept where every runtime takes it. A filter of zeros gets the scale at which one step is one step of the output.

    pairs   the other axes are in the order of targets/pairs.py, and no two neighbours may add up to more than it says
    """
    rows = np.asarray(weight, np.float64).reshape(weight.shape[0], -1)
    shift = np.zeros(len(rows)) if bias is None else np.asarray(bias, np.float64)
    scale = np.abs(rows).max(1) / HIGHEST
    if pairs:
        scale = _spared(rows, scale)
    scale = np.maximum(scale, np.abs(shift) / (x_scale * MOST_BIAS))
    scale = np.where(scale > 0, scale, y_scale / x_scale)
    scale = np.clip(scale, LEAST_FACTOR * y_scale / x_scale, MOST_FACTOR * y_scale / x_scale)
    single = scale.astype(np.float32)
    codes = np.clip(np.rint(rows / single[:, None].astype(np.float64)), -HIGHEST, HIGHEST).astype(np.int8)
    if pairs:
        codes = cut_pairs(codes)
    steps = np.rint(shift / (x_scale * single.astype(np.float64)))
    return Filters(codes.reshape(weight.shape), single, np.clip(steps, -MOST_BIAS, MOST_BIAS).astype(np.int32))


def _spared(rows: Rows, scale: Scales) -> Scales:
    """Scales that leave the least error once pairs are cut, between the one that cuts none and the smallest.

    rows, scale   weights [O, K] and their smallest scales [O]
    """
    steps = (rows / np.where(scale > 0, scale, 1.0)[:, None]).astype(np.float32)
    even, odd = neighbours(steps)
    most = np.maximum(np.abs(even + odd).max(1) / LARGEST_PAIR, 1.0) - 1.0
    best, least = np.ones(len(rows)), np.full(len(rows), np.inf)
    for share in SPARED:
        factor = 1.0 + share * most
        codes = cut_pairs(np.rint(steps / factor[:, None]).astype(np.int8)).astype(np.float32)
        error = np.square(codes * factor[:, None].astype(np.float32) - steps).sum(1)
        best, least = np.where(error < least, factor, best), np.minimum(error, least)
    spared: Scales = scale * best
    return spared


def cut_pairs(codes: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Codes [O, K] whose pairs fit: of two that add up to too much, each loses half of that."""
    even, odd = (half.astype(np.int16) for half in neighbours(codes))
    beyond = np.maximum(np.abs(even + odd) - LARGEST_PAIR, 0)
    if not beyond.any():
        return codes
    cut = np.stack([even - np.sign(even) * ((beyond + 1) // 2), odd - np.sign(odd) * (beyond // 2)], -1)
    kept: npt.NDArray[np.int8] = cut.reshape(len(codes), -1)[:, : codes.shape[1]].astype(np.int8)
    return kept
