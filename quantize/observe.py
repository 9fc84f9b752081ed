"""What calibration keeps of a value: its extremes, and a histogram of a sample of its cells. Memory does not grow.

An observer turns these into the range that codes have to cover:

    minmax           everything that was seen
    moving-average   the mean of the batches' extremes (exponential, momentum 0.1)
    percentile       all but 0.01 % of the cells
    mse              the range with the least mean square error of rounding and clipping together
    entropy          the range whose codes' distribution is the least divergent (Kullback-Leibler) from the values'
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Range = tuple[float, float]
Floats = npt.NDArray[np.float64]

BINS = 2048
"""Of a histogram; twice as many while its range grows."""
MOMENTUM = 0.1
TAIL = 1e-4
"""Share of the cells that `percentile` leaves outside, half at each end."""
_STEPS = 255
_TRIED = 60
"""Ranges that `mse` and `entropy` try, from a sixtieth of what was seen up to all of it."""


@dataclass
class Histogram:
    """Counts of cells in equal bins around 0; the width doubles when a cell lies beyond."""

    width: float = 0.0
    counts: Floats = field(default_factory=lambda: np.zeros(2 * BINS))

    def add(self, cells: npt.NDArray[np.floating[Any]]) -> None:
        """Counts the cells; those that are not finite are left out."""
        cells = cells[np.isfinite(cells)]
        if not cells.size:
            return
        reach = float(np.abs(cells).max())
        if self.width == 0.0:
            self.width = reach / BINS if reach else 0.0
        if self.width == 0.0:  # nothing but zeros so far
            self.counts[BINS] += cells.size
            return
        while reach >= self.width * BINS:
            self._widen()
        places = np.floor(cells / self.width).astype(np.int64) + BINS
        self.counts += np.bincount(np.clip(places, 0, 2 * BINS - 1), minlength=2 * BINS)

    def _widen(self) -> None:
        merged = self.counts.reshape(BINS, 2).sum(1)
        self.counts = np.concatenate([np.zeros(BINS // 2), merged, np.zeros(BINS // 2)])
        self.width *= 2

    @property
    def centres(self) -> Floats:
        """The middle of each bin."""
        return np.asarray((np.arange(2 * BINS) - BINS + 0.5) * self.width, np.float64)


@dataclass
class Observed:
    """What is known of one value after calibration.

    low, high      least and greatest cell of all
    mean_low …     exponential means of the batches' extremes
    cells          how many cells were seen
    """

    low: float = np.inf
    high: float = -np.inf
    mean_low: float = 0.0
    mean_high: float = 0.0
    batches: int = 0
    histogram: Histogram = field(default_factory=Histogram)

    def add(self, low: float, high: float, sample: npt.NDArray[np.floating[Any]]) -> None:
        """One batch: its extremes, and some of its cells."""
        self.low, self.high = min(self.low, low), max(self.high, high)
        share = 1.0 if not self.batches else MOMENTUM
        self.mean_low += share * (low - self.mean_low)
        self.mean_high += share * (high - self.mean_high)
        self.batches += 1
        self.histogram.add(sample)

    def range(self, observer: str) -> Range:
        """What codes should cover, by the observer of that name; holds 0."""
        low, high = OBSERVERS[observer](self)
        return min(low, 0.0), max(high, 0.0)


def _minmax(seen: Observed) -> Range:
    return seen.low, seen.high


def _moving_average(seen: Observed) -> Range:
    return seen.mean_low, seen.mean_high


def _percentile(seen: Observed) -> Range:
    shares = np.cumsum(seen.histogram.counts) / max(seen.histogram.counts.sum(), 1)
    edges = (np.arange(2 * BINS + 1) - BINS) * seen.histogram.width
    low = edges[int(np.searchsorted(shares, TAIL / 2, side="right"))]
    high = edges[min(int(np.searchsorted(shares, 1 - TAIL / 2)) + 1, 2 * BINS)]
    return max(float(low), seen.low), min(float(high), seen.high)


def _mse(seen: Observed) -> Range:
    """Sum over bins of (x - code(x))², the rounding error inside the range taken as uniform: step² / 12."""
    counts, centres = seen.histogram.counts, seen.histogram.centres
    moments = np.zeros((centres.size + 1, 3))
    np.cumsum(counts[:, None] * centres[:, None] ** np.arange(3), axis=0, out=moments[1:])

    def loss(low: float, high: float) -> float:
        first, last = np.searchsorted(centres, low), np.searchsorted(centres, high, side="right")
        below, inside, above = moments[first], moments[last][0] - moments[first][0], moments[-1] - moments[last]
        clipped = _squares_from(low, below) + _squares_from(high, above)
        return float(clipped + inside * ((high - low) / _STEPS) ** 2 / 12)

    return _best(seen, loss)


def _squares_from(end: float, moments: Floats) -> float:
    """Sum of (x - end)², from the cells' count, sum and sum of squares."""
    return float(moments[2] - 2 * end * moments[1] + end**2 * moments[0])


def _entropy(seen: Observed) -> Range:
    """KL divergence of the codes' distribution, spread over their bins, from the values' (Migacz 2017)."""
    counts, centres = seen.histogram.counts, seen.histogram.centres
    filled = counts > 0

    def loss(low: float, high: float) -> float:
        clipped = np.clip(centres, low, high)
        codes = np.round((clipped - low) / ((high - low) / _STEPS)).astype(np.int64)
        mass = np.bincount(codes, counts, _STEPS + 1)
        cells = np.bincount(codes, filled, _STEPS + 1)
        inside = filled & (centres >= low) & (centres <= high)
        reference = np.bincount(np.clip(np.arange(counts.size), *_ends(inside)), counts, counts.size)
        spread = np.where(filled, mass[codes] / np.maximum(cells[codes], 1), 0.0)
        p, q = reference / counts.sum(), spread / counts.sum()
        used = p > 0
        return float((p[used] * np.log(p[used] / np.maximum(q[used], 1e-12))).sum())

    return _best(seen, loss)


def _ends(inside: npt.NDArray[np.bool_]) -> tuple[int, int]:
    places = np.flatnonzero(inside)
    return (int(places[0]), int(places[-1])) if places.size else (0, inside.size - 1)


def _best(seen: Observed, loss: Callable[[float, float], float]) -> Range:
    """The range with the least loss among fractions of what was seen, of each end on its own."""
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    if not (seen.histogram.counts.sum() and high > low):
        return low, high
    tried = np.linspace(1.0, 1.0 / _TRIED, _TRIED)
    for _ in range(2):
        if high > 0:
            high = min((float(max(seen.high, 0.0) * f) for f in tried), key=lambda end: loss(low, end))
        if low < 0:
            low = min((float(min(seen.low, 0.0) * f) for f in tried), key=lambda end: loss(end, high))
    return low, high


OBSERVERS: dict[str, Callable[[Observed], Range]] = {
    "minmax": _minmax,
    "moving-average": _moving_average,
    "percentile": _percentile,
    "mse": _mse,
    "entropy": _entropy,
}
