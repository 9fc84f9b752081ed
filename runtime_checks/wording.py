"""Figures in words, the same in reports and on the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .report import Report


def bytes_text(count: int) -> str:
    """``14.1 MB``, in powers of ten, as files are sold and served."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def difference_text(value: float, bound: float | None = None) -> str:
    """Two digits are what a difference means; where none is allowed and there is none, that is the word."""
    if value == 0 and bound == 0:
        return "bit-identical"
    if not math.isfinite(value):
        return "not comparable"
    return "0" if value == 0 else f"{value:.1e}" if value < 0.01 or value >= 1e4 else f"{value:.3g}"


def identical_text(report: Report) -> str:
    """Which outputs are the same bits everywhere; empty where none is promised so."""
    names = ", ".join(f'"{name}"' for name in report.identical())
    ran = [f"{runner.runner}" for _, runner in report.rows() if runner and runner.checks]
    checks = sum(len(runner.checks) for _, runner in report.rows() if runner)
    return f"bit-identical in {', '.join(dict.fromkeys(ran))}: {names} ({checks} checks)" if names else ""


def float_nodes_text(quantization: Mapping[str, Any] | None) -> str:
    """``int8: 12 nodes int8, 1 float: head (kept float by "head")``; empty for a float graph."""
    if not quantization or "nodes" not in quantization:
        return ""
    counts = ", ".join(f"{count} {form}" for form, count in quantization["nodes"].items())
    reasons = "; ".join(f"{_some(names)}: {reason}" for reason, names in quantization.get("float", []))
    return f"{quantization['scheme']}, nodes: {counts}{reasons and f' ({reasons})'}"


def _some(names: Sequence[str], most: int = 3) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def seconds_text(seconds: float) -> str:
    """Milliseconds with three digits."""
    return f"{seconds * 1000:.3g}"
