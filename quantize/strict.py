"""The scheme "int8-strict": integers that also agree where LiteRT runs without XNNPACK.

LiteRT's own kernels multiply a sum of products by whole numbers of 31 bits and round twice, halves up or away from
zero; XNNPACK, ONNX Runtime and the browser multiply by float32 and round halves to even. All of them agree on

    sum = 2 mod 4,  multiplier = 2**-n,  n = 1 or n >= 3

The first of two roundings is of half the sum, an odd whole number, and so does nothing; the second meets no tie, which
would be a multiple of 4, and keeps two steps of the sum away from one. Weights are multiples of 4 and biases 2 mod 4 to
that end. Scales of filters, not of activations, make the multiplier a power of two.

What is quantized from float32 is rounded by float32 operations before (`Writer.quantized`), products of two activations
are float32 products whose 65,536 results become the same code by every rule, and the scale of a matrix product is an
odd multiple of its operands', of which half a step is no whole number of products.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..exporter.graph import Array, Quantization
from ..exporter.ops import Ceil, Elu, Round
from ..exporter.ops.quantized import HIGHEST, LOWEST
from .arithmetic import Reals
from .weights import Filters

UNIT = 4
"""Weights are whole multiples of it, and biases lie half way between two."""

LARGEST = 31
"""Units; 124 steps."""

LEAST_SHIFT, NO_SHIFT, MOST_SHIFT = 1, 2, 14
"""Smallest and largest n, and the one between at which sums of 2 mod 4 are ties. Up to the largest, sums that are not
clamped are below 2**22, and no kernel's error reaches two steps."""

MOST_UNITS = 2**28
"""Of a bias: 2**30 steps."""

WITHOUT_KERNEL = (Ceil, Elu, Round)
"""Functions that LiteRT's reference kernels lack: their codes are looked up."""

SCALE_BITS = 16
"""With the eight bits of a code, float32 holds their product."""

MOST_RATIO = 2**13
"""Of the scale of a matrix product to its operands': half a step is then further from a sum than float32 is off."""


# -- filters --------------------------------------------------------------------------------------------------------


def strict_filters(weight: Array, bias: Array | None, x_scale: float, y_scale: float) -> Filters:
    """Filters [O, …] in units, of which `in_steps` makes codes: what chooses other codes does so in between."""
    rows = np.asarray(weight, np.float64).reshape(weight.shape[0], -1)
    largest = np.abs(rows).max(1)
    unit = UNIT * y_scale / x_scale
    with np.errstate(divide="ignore"):
        widest = np.floor(np.log2((LARGEST + 0.49) * unit / largest))
    shifts = [_allowed(widest), _allowed(widest + 1)]
    errors = [np.square(_codes(rows, shift, unit) * _scale(shift, unit) - rows).sum(1) for shift in shifts]
    shift = np.where(errors[1] < errors[0], shifts[1], shifts[0])
    codes = _codes(rows, shift, unit).astype(np.int8).reshape(weight.shape)
    scale = _scale(shift, unit)[:, 0].astype(np.float32)
    return Filters(codes, scale, _bias(bias, x_scale, scale), LARGEST)


def strict_mean(shape: tuple[int, ...], x_scale: float, y_scale: float) -> Filters:
    """Filters [O, …] in units that take a mean: taps differ by one unit at most, and sum up to 1 as near as can be."""
    filters, cells = shape[0], math.prod(shape[1:])
    made = strict_filters(np.full((1, cells), 1 / cells), None, x_scale, y_scale)
    total = round(1 / float(made.scale[0]))
    bounds = np.arange(cells + 1) * total // cells
    taps = np.minimum(np.diff(bounds), LARGEST).astype(np.int8).reshape(1, *shape[1:])
    return Filters(
        np.repeat(taps, filters, 0), np.repeat(made.scale, filters), np.repeat(made.bias, filters), made.largest
    )


def in_steps(made: Filters) -> Filters:
    """Filters in units as the codes that kernels multiply with."""
    scale = (made.scale / np.float32(UNIT)).astype(np.float32)
    bias = np.clip(made.bias, -MOST_UNITS, MOST_UNITS - 1) * UNIT + UNIT // 2
    return Filters((made.codes * UNIT).astype(np.int8), scale, bias.astype(np.int32), made.largest * UNIT)


def _bias(bias: Array | None, x_scale: float, scale: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    """Units below the bias; half a unit is added by `in_steps`."""
    shift = np.zeros(len(scale)) if bias is None else np.asarray(bias, np.float64)
    units = np.floor(shift / (x_scale * scale.astype(np.float64)))
    return np.clip(units, -MOST_UNITS, MOST_UNITS - 1).astype(np.int32)


def _allowed(shift: Reals) -> Reals:
    kept: Reals = np.clip(shift, LEAST_SHIFT, MOST_SHIFT)
    return np.where(kept == NO_SHIFT, LEAST_SHIFT, kept)


def _scale(shift: Reals, unit: float) -> Reals:
    return np.asarray((2.0**-shift * unit)[:, None], np.float64)


def _codes(rows: Reals, shift: Reals, unit: float) -> Reals:
    return np.clip(np.rint(rows / _scale(shift, unit)), -LARGEST, LARGEST)


# -- products -------------------------------------------------------------------------------------------------------


def short_above(scale: float) -> float:
    """The scale, or the next larger one of `SCALE_BITS` significant bits."""
    mantissa, exponent = math.frexp(scale)
    return math.ldexp(math.ceil(mantissa * 2**SCALE_BITS), exponent - SCALE_BITS)


def product_is_safe(a: Quantization, b: Quantization, to: Quantization) -> bool:
    """Whether the float32 products of all 65,536 pairs of codes become the same codes by every rule of rounding."""
    codes = np.arange(LOWEST, HIGHEST + 1)
    left, right = ((codes - q.zero_point).astype(np.float32) * np.float32(q.scale) for q in (a, b))
    products = np.multiply.outer(left, right)
    return _same_by_every_rule(products, to)


def _same_by_every_rule(reals: Reals, to: Quantization) -> bool:
    """Multiplied by the reciprocal or divided, before or after the zero point is added, halves to even or away."""
    scale = np.float32(to.scale)
    found: list[Reals] = []
    for steps in (reals * (np.float32(1) / scale), reals / scale):
        away = np.trunc(steps.astype(np.float64) + np.copysign(0.5, steps))
        shifted = np.rint(steps + np.float32(to.zero_point)) - to.zero_point
        found += [np.rint(steps), away, shifted]
    lowest, highest = LOWEST - to.zero_point, HIGHEST - to.zero_point
    first = np.clip(found[0], lowest, highest)
    return all(bool((np.clip(other, lowest, highest) == first).all()) for other in found[1:])


def matmul_ratio(a: Quantization, b: Quantization, to: Quantization) -> float:
    """Steps of a product in one step of the result."""
    return to.scale / (a.scale * b.scale)


def matmul_is_safe(a: Quantization, b: Quantization, to: Quantization) -> bool:
    """Whether no sum of products of two activations, whose scales are powers of two, comes near a tie."""
    ratio = matmul_ratio(a, b, to)
    return ratio % 2 == 1 and ratio < MOST_RATIO


def safe_for_matmul(a: Quantization, b: Quantization, to: Quantization) -> Quantization | None:
    """``to`` at the next larger scale that is safe; None where it would be too large."""
    odd = 2 * math.floor(math.ceil(matmul_ratio(a, b, to)) / 2) + 1
    found = Quantization(odd * a.scale * b.scale, to.zero_point)
    return found if odd < MOST_RATIO else None
