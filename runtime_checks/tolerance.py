"""How far a port may be from the reference, by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..exporter.graph import DType


@dataclass(frozen=True)
class Tolerance:
    """|port − reference| ≤ max(range_share * range, float32_errors * float32 error), or ``steps`` for integers.

    range_share      share of the range that the reference's output spans
    float32_errors   multiples of the error that torch's own float32 makes against the float64 reference
    steps            quantization steps (units of an integer output)
    """

    name: str
    range_share: float = 0.0
    float32_errors: float = 0.0
    steps: int = 0

    def bound(self, span: float, float32_error: float, magnitude: float) -> float:
        """The largest difference allowed.

        span            largest minus smallest value of the reference's output
        float32_error   largest |torch float32 − reference|
        magnitude       largest |reference|: float32 itself is off by up to half a unit in the last place there, and
                        torch's error may be smaller only by luck
        """
        if self.steps:
            return float(self.steps)
        if not self.range_share:
            return 0.0
        rounding = float(np.spacing(np.float32(min(magnitude, float(np.finfo(np.float32).max))))) / 2
        # One value alone, or a constant, spans nothing; what it is a part of is then its own size.
        return max(self.range_share * (span or magnitude), self.float32_errors * max(float32_error, rounding))


EXACT = Tolerance("EXACT")
"""The same bits: integers and booleans."""

CLOSE = Tolerance("CLOSE", range_share=1e-5, float32_errors=4)
"""float32: the bound that every port keeps."""

HALF = Tolerance("HALF", range_share=2e-3, float32_errors=4)
"""float16 weights or outputs: 11 bits of mantissa, two units of which may be lost on the way."""


def STEPS(count: int) -> Tolerance:
    """Integers that may differ by ``count``."""
    return Tolerance(f"STEPS({count})", steps=count)


def tolerance_for(dtype: DType) -> Tolerance:
    """The tolerance of an output that says nothing else."""
    if dtype is DType.FLOAT16:
        return HALF
    return CLOSE if dtype.is_float else EXACT
