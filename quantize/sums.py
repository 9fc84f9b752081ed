"""Scales of a sum and its operands at which every runtime rounds alike, as near as can be to those that are wanted.

Where scale a = p u, scale b = q u and the result's scale = r u for whole numbers p, q and r, a sum of codes is
(p a + q b) / r steps. With r odd that is at least 1 / (2 r) away from half a step, which is far more than any kernel is
off. So the operands need not share a scale: each is raised by less than a hundredth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..exporter.ops.quantized import MOST_WEIGHT
from .arithmetic import SUM_RATIOS, WEIGHTED_MARGIN, Reals

MOST_STEPS = round(0.5 / WEIGHTED_MARGIN) - 1
"""Of r: odd, and sums stay further from ties than kernels are off."""

NEAR = 1e-5
"""Whole numbers are taken as whole that float32 scales miss by so much."""

TRIED = 64
"""Choices of scales, from the least change on, that are checked."""

Scales = tuple[float, float, float]
"""Of the operands a and b, and of the result."""


def balanced(wanted: Scales, fixed: Sequence[bool], is_safe: Callable[[Scales], bool]) -> Scales | None:
    """Scales none of which is smaller than wanted, those that are fixed as they are; None where none is safe.

    The least change, counted in shares of a scale, is chosen.
    """
    choices = _choices(np.asarray(wanted, np.float64))
    kept = choices[(choices == wanted)[:, np.asarray(fixed)].all(1)]
    order = np.lexsort((*kept.T, np.log(kept / wanted).sum(1).round(9)))
    tried = (tuple(float(scale) for scale in kept[at]) for at in order[:TRIED])
    return next(((a, b, to) for a, b, to in tried if is_safe((a, b, to))), None)


def _choices(wanted: Reals) -> Reals:
    """Each scale in turn stays, and is every whole multiple of a unit; the others become the next multiples: [n, 3]"""
    whole = np.arange(1, MOST_WEIGHT + 1), np.arange(1, MOST_WEIGHT + 1), np.arange(1, MOST_STEPS + 1, 2)
    units = np.concatenate([scale / counts for scale, counts in zip(wanted, whole, strict=True)])[:, None]
    steps = np.maximum(np.ceil(wanted / units - NEAR), 1)
    steps[:, 2] += 1 - steps[:, 2] % 2
    steps[:, :2] = np.maximum(steps[:, :2], np.ceil(steps[:, 2:] * SUM_RATIOS[0]))
    steps[:, 2] = np.maximum(steps[:, 2], np.ceil(steps[:, :2].max(1) / SUM_RATIOS[1]))
    fits = (steps[:, :2].max(1) <= MOST_WEIGHT) & (steps[:, 2] <= MOST_STEPS)
    scales = (steps * units)[fits].astype(np.float32).astype(np.float64)
    return np.where(np.abs(scales / wanted - 1) < 2.0**-22, wanted, scales)
