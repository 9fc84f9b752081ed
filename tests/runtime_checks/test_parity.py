"""What counts as the same answer."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from triport.exporter.graph import Array, DType
from triport.runtime_checks.parity import Check, check_port, judge
from triport.runtime_checks.runners import Node
from triport.runtime_checks.samples import Case
from triport.runtime_checks.tolerance import CLOSE, EXACT, HALF, STEPS, Tolerance, tolerance_for
from triport.runtime_checks.truth import Limit, Truth

Floats = npt.NDArray[np.float64]


def judged(
    got: Array | None, want: Array, dtype: DType = DType.FLOAT32, bound: float = 0.1, golden: float = 0.0
) -> Check:
    case = Case("case", {}, {"y": want}, golden=bool(golden))
    return judge(case, "y", got, Limit(dtype, tolerance_for(dtype), 1.0, 0.0, bound, golden))


def f32(*values: float) -> Array:
    return np.array(values, np.float32)


def test_shape_is_judged_before_dtype_and_dtype_before_values() -> None:
    want = f32(1, 2)
    assert judged(np.zeros((2, 1), np.int32), want).code == "TP501"
    assert judged(np.zeros(2, np.int32), want).code == "TP502"
    assert judged(f32(np.nan, 0), want).code == "TP503"
    assert judged(f32(1, 3), want).code == "TP500"
    assert judged(f32(1, 2.05), want).passed


def test_a_missing_output_fails() -> None:
    assert judged(None, f32(1)).code == "TP501"


def test_a_wrong_shape_names_both() -> None:
    assert "expected shape [2], got [1, 2]" in judged(np.zeros((1, 2), np.float32), f32(1, 2)).problem


def test_a_difference_is_the_largest_and_the_bound_is_inclusive() -> None:
    check = judged(f32(1, 2.5), np.array([1.0, 2.0]), bound=0.5)
    assert check.passed
    assert check.max_abs == 0.5
    assert not judged(f32(1, 2.5), np.array([1.0, 2.0]), bound=0.49).passed


def test_the_float64_reference_judges_float32() -> None:
    third = np.array([1 / 3])
    check = judged(third.astype(np.float32), third, bound=1e-7)
    assert check.passed
    assert 0 < check.max_abs < 1e-8


def test_not_a_number_must_stand_at_the_same_places() -> None:
    want = f32(1, math.nan, math.inf, -math.inf)
    assert judged(want.copy(), want).passed
    assert judged(f32(1, math.nan, math.inf, math.inf), want).code == "TP503"
    assert judged(f32(math.nan, 1, math.inf, -math.inf), want).code == "TP503"
    assert judged(f32(1, 2, math.inf, -math.inf), want).code == "TP503"


def test_a_float64_port_of_a_float32_graph_has_the_wrong_dtype() -> None:
    assert judged(np.array([1.0]), f32(1)).code == "TP502"


def test_int64_may_become_int32_and_nothing_else() -> None:
    want = np.array([1, 2], np.int64)
    assert judged(want.astype(np.int32), want, DType.INT64, 0).passed
    assert judged(want.astype(np.int16), want, DType.INT64, 0).code == "TP502"
    assert judged(want.astype(np.float32), want, DType.INT64, 0).code == "TP502"
    assert judged(want, want.astype(np.int32), DType.INT32, 0).code == "TP502"


def test_integers_are_judged_in_steps_without_wrapping_around() -> None:
    want = np.array([-128, 0, 127], np.int8)
    got = np.array([127, 0, 126], np.int8)
    check = judged(got, want, DType.INT8, STEPS(1).bound(0, 0, 0))
    assert check.max_abs == 255
    assert "1 of 3 integers differ" in check.problem
    assert judged(np.array([-127, 1, 126], np.int8), want, DType.INT8, 1).passed
    assert not judged(np.array([-127, 1, 126], np.int8), want, DType.INT8, 0).passed


def test_booleans_must_be_equal() -> None:
    want = np.array([True, False])
    assert judged(want.copy(), want, DType.BOOL, 0).passed
    assert judged(~want, want, DType.BOOL, 0).code == "TP500"


def test_golden_cases_have_a_bound_of_their_own() -> None:
    assert judged(f32(1.2), f32(1), bound=0.1, golden=0.3).passed
    assert not judged(f32(1.2), f32(1), bound=0.1).passed


def test_same_top1_is_counted_by_row() -> None:
    want = np.array([[1.0, 2], [2, 1], [4, 3]])
    check = judged(np.array([[1, 2], [2, 1], [3, 3.05]], np.float32), want)
    assert (check.same_top1, check.rows) == (2, 3)
    assert not check.passed


def test_a_top1_that_ties_with_the_best_is_the_same() -> None:
    check = judged(f32(3, 3.05).reshape(1, 2), np.array([[3.01, 3]]))
    assert (check.same_top1, check.rows) == (1, 1)
    assert check.passed


@given(
    arrays(np.float64, (5, 4), elements=st.floats(-1, 1)),
    arrays(np.float64, (5, 4), elements=st.floats(-0.125, 0.125)),
)
def test_no_row_loses_its_top1_while_every_value_is_within_the_bound(want: Floats, noise: Floats) -> None:
    check = judged((want + noise).astype(np.float32), want, bound=0.125 + 1e-7)
    assert check.passed
    assert check.same_top1 == check.rows == 5


@pytest.mark.parametrize("dtype", DType, ids=lambda dtype: dtype.value)
def test_every_dtype_has_a_tolerance(dtype: DType) -> None:
    assert tolerance_for(dtype) is (HALF if dtype is DType.FLOAT16 else CLOSE if dtype.is_float else EXACT)


def test_close_is_the_larger_of_its_two_parts() -> None:
    assert CLOSE.bound(span=2.0, float32_error=1e-6, magnitude=1.0) == 2e-5
    assert CLOSE.bound(span=2.0, float32_error=1e-4, magnitude=1.0) == 4e-4


def test_a_constant_output_is_judged_by_its_own_size() -> None:
    assert CLOSE.bound(span=0.0, float32_error=0.0, magnitude=19.0) == pytest.approx(19e-5)


def test_a_bound_never_falls_below_what_float32_can_say() -> None:
    assert CLOSE.bound(span=1e-6, float32_error=0.0, magnitude=100.0) >= float(np.spacing(np.float32(100.0)))


def test_exact_allows_nothing_and_steps_allow_their_number() -> None:
    assert EXACT.bound(1e9, 1e9, 1e9) == 0
    assert STEPS(2).bound(0, 0, 0) == 2
    assert STEPS(2).name == "STEPS(2)"
    assert dataclasses.replace(STEPS(2), name="x") == Tolerance("x", steps=2)


def test_state_that_leaks_into_the_second_run_is_found(tmp_path: Path) -> None:
    (tmp_path / "index.js").write_text(
        """
        const spec = (name) => ({ name, dtype: "float32", shape: ["batch", 1] });
        export async function load() {
          let runs = 0;
          return {
            meta: { inputs: [spec("x")], outputs: [spec("y")] },
            async run({ x }) { return { y: { data: x.data.map((v) => v + 1e-7 * runs++), shape: x.shape } }; },
          };
        }"""
    )
    x = f32(1.0).reshape(1, 1)
    limit = Limit(DType.FLOAT32, CLOSE, 1.0, 0.0, 1e-3, 1e-3)
    truth = Truth("golden samples", [Case("one", {"x": x}, {"y": x})], {"y": limit})
    with Node().load(tmp_path) as session:
        (check,) = check_port(session, truth)
    assert check.code == "TP506"
    assert check.max_abs < 1e-3
