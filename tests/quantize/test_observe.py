"""Observers against formulas written out anew, and on distributions whose best range is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from triport.quantize.observe import BINS, OBSERVERS, Histogram, Observed

Cells = npt.NDArray[np.float32]


def observed(*batches: Cells) -> Observed:
    seen = Observed()
    for batch in batches:
        seen.add(float(batch.min()), float(batch.max()), batch)
    return seen


def normal(count: int, seed: int = 0, scale: float = 1.0) -> Cells:
    return np.random.default_rng(seed).normal(0, scale, count).astype(np.float32)


@pytest.mark.parametrize("observer", OBSERVERS)
def test_every_range_holds_0_and_is_finite(observer: str) -> None:
    for cells in (normal(999), normal(999) + 50, -np.abs(normal(999)), np.zeros(9, np.float32), normal(3) * 1e-30):
        low, high = observed(cells).range(observer)
        assert low <= 0 <= high and np.isfinite([low, high]).all()
        assert low >= min(cells.min(), 0) - 1e-6 and high <= max(cells.max(), 0) + 1e-6


def test_minmax_is_the_extremes_of_all_batches() -> None:
    batches = [normal(500, seed) for seed in range(5)]
    every = np.concatenate(batches)
    assert observed(*batches).range("minmax") == (float(every.min()), float(every.max()))


def test_moving_average_weighs_batches_by_nine_tenths() -> None:
    batches = [normal(500, seed, 1 + seed) for seed in range(6)]
    low, high = float(batches[0].min()), float(batches[0].max())
    for batch in batches[1:]:
        low, high = 0.9 * low + 0.1 * float(batch.min()), 0.9 * high + 0.1 * float(batch.max())
    assert observed(*batches).range("moving-average") == pytest.approx((low, high))


def test_percentile_leaves_one_in_ten_thousand_outside() -> None:
    cells = normal(1_000_000)
    low, high = observed(cells).range("percentile")
    width = 2 * float(np.abs(cells).max()) / BINS
    assert low == pytest.approx(np.quantile(cells, 0.00005), abs=width)
    assert high == pytest.approx(np.quantile(cells, 0.99995), abs=width)
    outside = np.mean((cells < low) | (cells > high))
    assert 0 < outside <= 1.2e-4


def _error(cells: Cells, low: float, high: float) -> float:
    """Mean square of what 256 codes for this range make of the cells."""
    step = (high - low) / 255
    codes = np.clip(np.round((cells.astype(np.float64) - low) / step), 0, 255)
    return float(np.mean((codes * step + low - cells) ** 2))


@pytest.mark.parametrize("cells", [normal(200_000), np.random.default_rng(1).laplace(0, 1, 200_000).astype(np.float32)])
def test_mse_has_the_least_error_of_all_symmetric_ranges(cells: Cells) -> None:
    low, high = observed(cells).range("mse")
    reach = float(np.abs(cells).max())
    naive = min(_error(cells, -reach * share, reach * share) for share in np.linspace(0.05, 1, 96))
    assert _error(cells, low, high) <= 1.05 * naive


def test_mse_and_entropy_leave_an_outlier_outside() -> None:
    cells = np.append(normal(1_000_000), np.float32(100))
    for observer in ("mse", "entropy"):
        low, high = observed(cells).range(observer)
        assert 3 < high < 60 and -6 < low < -2, (observer, low, high)
    assert observed(cells).range("minmax")[1] == 100


def test_mse_and_entropy_keep_all_of_a_uniform_distribution() -> None:
    cells = np.random.default_rng(2).uniform(-1, 3, 200_000).astype(np.float32)
    for observer in ("mse", "entropy"):
        low, high = observed(cells).range(observer)
        assert low == pytest.approx(-1, abs=0.1) and high == pytest.approx(3, abs=0.1), observer


def test_a_histogram_counts_every_cell_at_its_place_however_wide_it_grows() -> None:
    batches = [normal(1000, seed, 4.0**seed) for seed in range(6)]
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch)
    every = np.concatenate(batches)
    edges = (np.arange(2 * BINS + 1) - BINS) * histogram.width
    assert histogram.counts.sum() == every.size
    assert np.abs(histogram.counts - np.histogram(every, edges)[0]).sum() <= 4  # cells on an edge
    assert np.abs(every).max() <= histogram.width * BINS <= 4 * np.abs(every).max()


def test_a_histogram_leaves_out_what_is_not_finite() -> None:
    histogram = Histogram()
    histogram.add(np.array([np.nan, 1.0, np.inf, -1.0], np.float32))
    assert histogram.counts.sum() == 2
