"""Filters as integers: symmetric, one scale a filter, and the bias in steps of the products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..exporter.graph import Array

HIGHEST = 127
"""Weights are symmetric: -127 … 127. -128 would overflow 16 bits in a product with itself on old ARM cores."""

MOST_BIAS = 2**30
"""Steps. Half of int32; the other half is left to the products."""

LEAST_FACTOR = 2.0**-31
"""XNNPACK takes no filter whose steps are less than 2**-32 steps of the output."""

MOST_FACTOR = 255.0
"""… nor one whose steps are 256 steps of the output or more."""


@dataclass(frozen=True)
class Filters:
    """codes int8 [O, …], scale float32 [O], bias int32 [O]; saturated: filters whose bias did not fit"""

    codes: npt.NDArray[np.int8]
    scale: npt.NDArray[np.float32]
    bias: npt.NDArray[np.int32]


def quantized_filters(weight: Array, bias: Array | None, x_scale: float, y_scale: float) -> Filters:
    """Codes of a weight whose first axis counts the filters.

    The scale of a filter is its largest weight / 127, raised where the bias would not fit into `MOST_BIAS` steps, and
    kept where every runtime takes it. A filter of zeros gets the scale at which one step is one step of the output.
    """
    rows = np.asarray(weight, np.float64).reshape(weight.shape[0], -1)
    shift = np.zeros(len(rows)) if bias is None else np.asarray(bias, np.float64)
    scale = np.abs(rows).max(1) / HIGHEST
    scale = np.maximum(scale, np.abs(shift) / (x_scale * MOST_BIAS))
    scale = np.where(scale > 0, scale, y_scale / x_scale)
    scale = np.clip(scale, LEAST_FACTOR * y_scale / x_scale, MOST_FACTOR * y_scale / x_scale)
    single = scale.astype(np.float32)
    codes = np.clip(np.rint(rows / single[:, None].astype(np.float64)), -HIGHEST, HIGHEST).astype(np.int8)
    steps = np.rint(shift / (x_scale * single.astype(np.float64)))
    return Filters(codes.reshape(weight.shape), single, np.clip(steps, -MOST_BIAS, MOST_BIAS).astype(np.int32))
