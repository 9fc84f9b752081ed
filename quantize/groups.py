"""Values of one scale and zero point, and which these are for a range."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from ..exporter.graph import Quantization
from ..exporter.ops.quantized import HIGHEST, LOWEST
from .observe import Range
from .strict import short_above

LEAST_RANGE = 1e-6
"""A value that hardly differs from 0 has codes nevertheless."""

IDLE_RANGE = 1.0
"""What the codes of a value cover that was always 0: other numbers are then met by layers that have usual scales."""


@dataclass
class Group:
    """Values of one scale and zero point.

    power_of_two   the scale has to be one: products are then exact in float32
    symmetric      the zero point is 0, which keeps sums of squares and of products small
    even           the zero point is even: runtimes add it before or after they round
    short          the scale has 16 significant bits: every code then is an exact float32 in LiteRT's plain kernels,
                   which dequantize by scale * code - scale * zero point
    """

    members: dict[str, Range] = field(default_factory=dict)
    power_of_two: bool = False
    symmetric: bool = False
    even: bool = False
    short: bool = False
    quantization: Quantization = field(default_factory=lambda: Quantization(1.0, 0))

    def raise_to(self, scale: float) -> None:
        """Makes the scale at least that large."""
        if self.quantization.scale < scale:
            self.take(2.0 ** math.ceil(math.log2(scale)) if self.power_of_two else _float32_above(scale))

    def take(self, scale: float) -> None:
        """The scale, or the next that a member may have."""
        scale = short_above(scale) if self.short else scale
        self.quantization = Quantization(scale, self.quantization.zero_point)

    def settle(self) -> None:
        """The scale that the members' ranges ask for."""
        low = min(low for low, _ in self.members.values())
        high = max(high for _, high in self.members.values())
        if low == high == 0:
            high = IDLE_RANGE
        self.quantization = quantization_for(
            low, high, power_of_two=self.power_of_two, symmetric=self.symmetric, even=self.even
        )
        self.take(self.quantization.scale)


def quantization_for(
    low: float, high: float, *, power_of_two: bool = False, symmetric: bool = False, even: bool = False
) -> Quantization:
    """Codes for the range, which holds 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    if symmetric:
        low, high = -max(-low, high), max(-low, high)
    steps = HIGHEST - LOWEST - (1 if symmetric else 0)
    scale = max(high - low, LEAST_RANGE) / steps
    if power_of_two:
        exponent = math.ceil(math.log2(scale))
        # One step less at the end costs less than half of the resolution everywhere.
        scale = 2.0 ** (exponent - 1 if (high - low) / 2.0 ** (exponent - 1) <= steps + 2 else exponent)
    if symmetric:
        return Quantization(float(np.float32(scale)), 0)
    zero = min(max(round(LOWEST - low / scale), LOWEST), HIGHEST)
    if even and zero % 2:
        zero += 1 if zero < 0 else -1
        if not power_of_two:
            scale = max(scale, high / (HIGHEST - zero), -low / (zero - LOWEST) if zero > LOWEST else 0.0)
    return Quantization(_float32_above(scale), zero)


def _float32_above(scale: float) -> float:
    single = np.float32(scale)
    return float(single if single >= scale else np.nextafter(single, np.float32(np.inf)))
