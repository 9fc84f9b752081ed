"""Figures in words, the same in reports and on the terminal."""

from __future__ import annotations

import math


def bytes_text(count: int) -> str:
    """``14.1 MB``, in powers of ten, as files are sold and served."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def difference_text(value: float) -> str:
    """Two digits are what a difference means."""
    if not math.isfinite(value):
        return "not comparable"
    return "0" if value == 0 else f"{value:.1e}" if value < 0.01 or value >= 1e4 else f"{value:.3g}"


def seconds_text(seconds: float) -> str:
    """Milliseconds with three digits."""
    return f"{seconds * 1000:.3g}"
