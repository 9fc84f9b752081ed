"""Which scales give the same codes in every runtime, whatever it computes them with.

Kernels round the same exact result in different ways: XNNPACK's add multiplies by whole numbers of 21 bits and rounds
half up, ONNX Runtime's adds floats, some add the zero point before they round. They part only at ties (results half
way between two codes) and within their own error of one. A scale is safe when no result that a kernel can ever meet
lies that near to a tie; the plan asks here, and takes the next safe scale where the wanted one is not.

Results beyond the codes are clamped, on both sides of a tie alike: only ties between two codes count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..exporter.graph import Array, Quantization
from ..exporter.ops.quantized import HIGHEST, LOWEST, comes_of_exp, multiplier, sum_multiplier, whole_weights

Reals = npt.NDArray[np.floating[Any]]

SUM_MARGIN = 2e-4
"""Steps. XNNPACK's multiplier is off by up to 2**-22 of the greater scale ratio's power of two, over sums of up to 255
steps: 1.2e-4 (qs8-vadd). ONNX Runtime adds float32 (qladd.cpp): 6e-5 at `SUM_RATIOS`."""

WEIGHTED_MARGIN = 1e-3
"""Steps, of sums whose operands have two scales. XNNPACK's multipliers, of 21 bits for the greater ratio, may be off by
half a unit each, over 510 steps of both operands: 4.9e-4 at `SUM_RATIOS`. Scales are float32, and so off by 2**-24 of
themselves: 5e-5. ONNX Runtime's float32 numbers are off by 3e-4."""

SUM_RATIOS = (2.0**-8, 2.0)
"""Smallest and largest of.scale / to.scale for which the margins of sums were worked out."""

PRODUCT_MARGIN = 3e-5
"""Steps. float32 products are off by 2**-24 of up to 255 steps, and by as much again where the zero point is added
before rounding."""

SOFTMAX_STEPS = 2**12
"""Of exp(0) in the table of a softmax: sixteen for each of the 256 codes that its shares have."""

STEP = 1e-4
"""By which share of itself `nudged` raises a scale at a time."""

TRIES = 256
"""After which `nudged` gives up: 2.6 % above the wanted scale."""


def distance_from_tie(steps: Reals, to: Quantization) -> Reals:
    """How far each result lies from the next value half way between two codes; 0.5 where it is clamped.

    steps   exact results, in steps of ``to.scale``, without the zero point
    """
    kept = np.clip(steps, LOWEST - to.zero_point, HIGHEST - to.zero_point)
    distance: Reals = np.abs(kept - np.floor(kept) - 0.5)
    return distance


def add_is_safe(a: Quantization, b: Quantization, to: Quantization) -> bool:
    """Whether all 65,536 sums of a code of ``a`` and one of ``b`` become the same codes of ``to`` in every runtime."""
    return _sums_are_safe(a, b, to, 1)


def sub_is_safe(a: Quantization, b: Quantization, to: Quantization) -> bool:
    """Whether all 65,536 differences become the same codes of ``to`` in every runtime."""
    return _sums_are_safe(a, b, to, -1)


def mul_is_safe(a: Quantization, b: Quantization, to: Quantization) -> bool:
    """Whether all 65,536 products of codes of ``a`` and ``b`` become the same codes of ``to`` in every runtime.

    A tie is never safe: XNNPACK rounds it up on ARM (qs8-vmul rndnu), to the even code elsewhere.
    """
    codes = np.arange(LOWEST, HIGHEST + 1)
    products = np.multiply.outer(codes - a.zero_point, codes - b.zero_point)
    factor = multiplier(a.scale, b.scale, to.scale)
    exact: Reals = products * float(factor)
    if (distance_from_tie(exact, to) < PRODUCT_MARGIN).any():
        return False
    steps: Reals = products.astype(np.float32) * np.float32(factor)
    return bool((_clamped(steps, to) == _clamped(_scalar_products(a, b, to), to)).all())


def unary_margin(function: Callable[[Reals], Reals], of: Quantization, to: Quantization) -> float:
    """Steps between the result nearest to a tie and that tie, over all 256 codes of ``of``.

    function   of real numbers, in float64. A runtime whose float32 result is off by less than the margin times
               ``to.scale`` gives the same codes
    """
    codes = np.arange(LOWEST, HIGHEST + 1, dtype=np.float64)
    results: Reals = np.asarray(function((codes - of.zero_point) * of.scale), np.float64) / np.float64(to.scale)
    return float(distance_from_tie(results, to).min())


def nudged(scale: float, is_safe: Callable[[float], bool]) -> float | None:
    """The wanted scale if it is safe, else the nearest larger one that is, in steps of `STEP`; None after `TRIES`.

    scale   positive; taken as the float32 next to it
    """
    for count in range(TRIES):
        candidate = float(np.float32(scale * (1 + count * STEP)))
        if is_safe(candidate):
            return candidate
    return None


def softmax_table(scale: float, most: int, *, gives_codes: bool) -> Array:
    """What a `QuantizedSoftmax` looks up: exp(-k * scale), k = 0 … 255, in whole steps as float32.

    most          steps that exp(0) may be at most, so that sums stay exact
    gives_codes   the shares become codes, for which `SOFTMAX_STEPS` are enough; as many of them are taken as lets a
                  runtime's own exp, however it is computed, find the same table
    """
    exponentials = np.exp(-np.arange(HIGHEST - LOWEST + 1) * scale)
    steps = min(most, SOFTMAX_STEPS) if gives_codes else 0
    for largest in range(steps, steps // 2, -1):
        table: Array = np.rint(exponentials * largest).astype(np.float32)
        if comes_of_exp(table, scale):
            return table
    return np.asarray(np.rint(exponentials * most), np.float32)


def _scalar_products(a: Quantization, b: Quantization, to: Quantization) -> Reals:
    """The 65,536 products in steps of ``to``, as qlmul.cpp computes them where it has no vectors of its own (wasm).

    Its four roundings are of the order of `PRODUCT_MARGIN` and more, seldom all in one direction.
    """
    codes = np.arange(LOWEST, HIGHEST + 1)
    left, right = (np.float32(q.scale) * (codes - q.zero_point).astype(np.float32) for q in (a, b))
    products: Reals = np.multiply.outer(left, right) / np.float32(to.scale) + np.float32(to.zero_point - LOWEST)
    return products - (to.zero_point - LOWEST)


def _clamped(steps: Reals, to: Quantization) -> Reals:
    """Codes, less the zero point."""
    codes: Reals = np.clip(np.rint(steps), LOWEST - to.zero_point, HIGHEST - to.zero_point)
    return codes


def _sums_are_safe(a: Quantization, b: Quantization, to: Quantization, sign: int) -> bool:
    """Sums of codes that are weighted are taken to be every whole number between the least and the greatest."""
    weights = whole_weights(a, b)
    lowest, highest = SUM_RATIOS
    if weights is None or not all(lowest <= of.scale / to.scale <= highest * (1 + 2**-22) for of in (a, b)):
        return False
    terms = [
        sorted(weight * (code - of.zero_point) for code in (LOWEST, HIGHEST))
        for weight, of in zip((weights[0], sign * weights[1]), (a, b), strict=True)
    ]
    least, most = (left + right for left, right in zip(*terms, strict=True))
    steps = np.arange(least, most + 1, dtype=np.float64) * float(sum_multiplier((a, b), to))
    margin = SUM_MARGIN if weights == (1, 1) else WEIGHTED_MARGIN
    return bool((distance_from_tie(steps, to) >= margin).all())
