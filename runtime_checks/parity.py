"""Does a port answer as the truth says? Shape first, then dtype, then values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..exporter.graph import Array, DType
from .runners import Session
from .samples import Case
from .tolerance import Tolerance
from .truth import Limit, Truth

NARROWED = {DType.INT64: DType.INT32}
"""dtypes that a port may have instead of the graph's, at inputs and outputs (docs/dtypes.md)."""


@dataclass(frozen=True)
class Check:
    """One output on one case.

    max_abs     largest |port − truth| over elements that are finite in both
    bound       what was allowed
    rows        rows along the last axis, where a top-1 can be told; else 0
    same_top1   how many of them have their largest score at the same place, or at a place that ties with it
    code        the error code of what is wrong; empty when nothing is
    problem     in words
    """

    case: str
    output: str
    max_abs: float
    bound: float
    rows: int = 0
    same_top1: int = 0
    code: str = ""
    problem: str = ""

    @property
    def passed(self) -> bool:
        return not self.code


def check_port(session: Session, truth: Truth) -> list[Check]:
    """Runs every case twice and judges every output."""
    checks: list[Check] = []
    for case in truth.cases:
        fed = fit_inputs(session, case.inputs)
        first, second = session.run(fed), session.run(fed)
        for name, limit in truth.limits.items():
            check = judge(case, name, first.get(name), limit)
            if check.passed and not same_bits(first[name], second[name]):
                check = replace(check, code="TP506", problem="a second run with the same inputs answers differently")
            checks.append(check)
    return checks


def fit_inputs(session: Session, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The inputs in the dtypes the port takes, where `NARROWED` allows another."""
    fed = dict(inputs)
    for name, type in session.inputs.items():
        if name in fed and NARROWED.get(DType.of(fed[name])) is type.dtype:
            fed[name] = fed[name].astype(type.dtype.numpy)
    return fed


def judge(case: Case, output: str, got: Array | None, limit: Limit) -> Check:
    """Compares one output with the case's, which may be float64 where the port gives float32."""
    want = case.outputs[output]
    bound = limit.golden_bound if case.golden else limit.bound
    check = Check(case.label, output, math.inf, bound)
    if got is None:
        return replace(check, code="TP501", problem="the port has no output of this name")
    if got.shape != want.shape:
        return replace(check, code="TP501", problem=f"expected shape {list(want.shape)}, got {list(got.shape)}")
    if DType.of(got) not in (limit.dtype, NARROWED.get(limit.dtype)):
        return replace(check, code="TP502", problem=f"expected dtype {limit.dtype.value}, got {got.dtype}")
    if not limit.dtype.is_float:
        return _judge_integers(check, got, want)
    return _judge_floats(check, got.astype(np.float64), want.astype(np.float64), limit.tolerance)


def same_bits(a: Array, b: Array) -> bool:
    """Whether two arrays hold the same bytes, NaNs included."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def _judge_floats(
    check: Check, got: npt.NDArray[np.float64], want: npt.NDArray[np.float64], tolerance: Tolerance
) -> Check:
    finite = np.isfinite(want)
    if not np.array_equal(got[~finite], want[~finite], equal_nan=True) or not np.isfinite(got[finite]).all():
        return replace(check, code="TP503", problem=_not_finite(got, want))
    difference = float(np.abs(got[finite] - want[finite]).max()) if finite.any() else 0.0
    rows, same = _top1(got, want, check.bound)
    check = replace(check, max_abs=difference, rows=rows, same_top1=same)
    if difference > check.bound:
        problem = f"differs by {difference:.3g}, allowed are {check.bound:.3g} ({tolerance.name})"
        return replace(check, code="TP500", problem=problem)
    return check


def _judge_integers(check: Check, got: Array, want: Array) -> Check:
    steps = np.abs(got.astype(np.int64) - want.astype(np.int64))
    largest = float(steps.max()) if steps.size else 0.0
    check = replace(check, max_abs=largest)
    if largest <= check.bound:
        return check
    wrong = int((steps > check.bound).sum())
    problem = f"{wrong} of {steps.size} integers differ, by up to {largest:g}; allowed are {check.bound:g}"
    return replace(check, code="TP500", problem=problem)


def _not_finite(got: npt.NDArray[np.float64], want: npt.NDArray[np.float64]) -> str:
    def count(array: npt.NDArray[np.float64]) -> str:
        return f"{int(np.isnan(array).sum())} NaN and {int(np.isinf(array).sum())} infinite"

    return f"expected {count(want)} values of {want.size}, got {count(got)}, or at other places"


def _top1(got: npt.NDArray[np.float64], want: npt.NDArray[np.float64], bound: float) -> tuple[int, int]:
    """Rows along the last axis, and how many have their largest value at the same place.

    Scores that lie within twice the bound of the best are ties, which float32 may break either way; any will do.
    Values within the bound can therefore not lose a top-1: a row that is not counted has failed by its values already.
    """
    if want.ndim < 1 or want.shape[-1] < 2 or not want.size or not np.isfinite(want).all():
        return 0, 0
    scores, ours = want.reshape(-1, want.shape[-1]), got.reshape(-1, want.shape[-1]).argmax(-1)
    chosen = np.take_along_axis(scores, ours[:, None], -1)[:, 0]
    return len(ours), int((chosen >= scores.max(-1) - 2 * bound).sum())
