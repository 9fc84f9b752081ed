"""Scales that are called safe: every runtime's kernel gives the same codes, for all pairs of them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from integer_kernels import PRODUCTS, SUMS, formula_product, formula_sum

from triport.exporter.graph import Array, DType, Graph, Quantization, TensorType
from triport.exporter.ops import OpAttrs, QuantizedAdd, QuantizedMul, QuantizedSub
from triport.exporter.ops.quantized import comes_of_exp
from triport.quantize.arithmetic import (
    SOFTMAX_STEPS,
    STEP,
    SUM_RATIOS,
    TRIES,
    Reals,
    add_is_safe,
    distance_from_tie,
    mul_is_safe,
    nudged,
    softmax_table,
    sub_is_safe,
    unary_margin,
)
from triport.quantize.sums import Scales, balanced
from triport.runtime_checks.runners import get_runner
from triport.targets.prepare import prepare
from triport.targets.registry import get_target

CODES = np.arange(-128, 128, dtype=np.int8)
PAIRS: tuple[Array, Array] = (np.repeat(CODES, 256), np.tile(CODES, 256))

float32s = st.floats(2.0**-20, 2.0**6, width=32)
zero_points = st.integers(-128, 127)
quantizations = st.builds(Quantization, float32s, zero_points)
ratios = st.floats(2 * SUM_RATIOS[0], SUM_RATIOS[1]) | st.sampled_from([2.0**k for k in range(-7, 2)] + [1.5, 0.75])
unhurried = settings(max_examples=60, deadline=None, derandomize=True)


def _result(scale: float, zero_point: int) -> Quantization:
    return Quantization(float(np.float32(scale)), zero_point)


@pytest.mark.parametrize("sign", [1, -1])
@unhurried
@given(quantizations, ratios, zero_points)
@example(Quantization(0.5, -128), 2.0, 127)
@example(Quantization(0.5, 127), 2.0, -128)
def test_a_safe_sum_is_the_same_in_every_kernel(sign: int, of: Quantization, ratio: float, zero_point: int) -> None:
    """Whatever scale is wanted, a safe one is near."""
    is_safe = add_is_safe if sign > 0 else sub_is_safe
    scale = nudged(of.scale / ratio, lambda scale: is_safe(of, of, Quantization(scale, zero_point)))
    assert scale is not None
    _expect_the_same_sums((of, of), Quantization(scale, zero_point), sign)


@pytest.mark.parametrize("sign", [1, -1])
@unhurried
@given(quantizations, zero_points, quantizations, ratios, ratios, st.tuples(st.booleans(), st.booleans()))
@example(Quantization(2.0, -128), 127, Quantization(1.0, 5), 2.0, 2.0, (False, False))
def test_operands_of_a_safe_sum_need_not_share_a_scale(
    sign: int,
    a: Quantization,
    b_zero: int,
    to: Quantization,
    ratio: float,
    second_ratio: float,
    fixed: tuple[bool, bool],
) -> None:
    """Whatever scales are wanted of all three, safe ones round a little coarser. What is fixed may be too far off."""
    is_safe = add_is_safe if sign > 0 else sub_is_safe
    wanted = float(np.float32(to.scale * ratio)), float(np.float32(to.scale * second_ratio)), to.scale
    zeros = a.zero_point, b_zero, to.zero_point

    def safe(scales: Scales) -> bool:
        return is_safe(*(Quantization(scale, zero) for scale, zero in zip(scales, zeros, strict=True)))

    found = balanced(wanted, (*fixed, False), safe)
    if found is None:
        assert any(fixed)
        return
    squares, least_squares = (float(np.square(scales).sum()) for scales in (found, wanted))
    assert any(fixed) or squares <= 1.06 * least_squares
    for least, scale, kept in zip(wanted, found, (*fixed, False), strict=True):
        assert scale == least if kept else scale >= least
    left, right, result = (Quantization(scale, zero) for scale, zero in zip(found, zeros, strict=True))
    _expect_the_same_sums((left, right), result, sign)


def _expect_the_same_sums(of: tuple[Quantization, Quantization], to: Quantization, sign: int) -> None:
    """All kernels give the formula's codes for all pairs."""
    wanted = formula_sum(*PAIRS, of, to, sign)
    assert {
        name: int((kernel(*PAIRS, of, to, sign) != wanted).sum()) for name, kernel in SUMS.items()
    } == dict.fromkeys(SUMS, 0)


@unhurried
@given(quantizations, quantizations, st.floats(0.02, 40.0), zero_points.map(lambda zero: zero & ~1))
@example(Quantization(2.0**-7, 0), Quantization(2.0**-7, 0), 1.0, 0)
def test_a_safe_product_is_the_same_in_every_kernel(
    a: Quantization, b: Quantization, filled: float, zero_point: int
) -> None:
    """``filled``: how often the codes of the result would hold the largest product."""
    wanted_scale = a.scale * b.scale * 255 * 255 / 255 / filled
    scale = nudged(wanted_scale, lambda scale: mul_is_safe(a, b, Quantization(scale, zero_point)))
    assert scale is not None
    to = Quantization(scale, zero_point)
    wanted = formula_product(*PAIRS, a, b, to)
    assert {
        name: int((kernel(*PAIRS, a, b, to) != wanted).sum()) for name, kernel in PRODUCTS.items()
    } == dict.fromkeys(PRODUCTS, 0)


def test_no_scale_at_which_a_kernel_rounds_another_way_is_safe() -> None:
    """Over scales at random, of which the margins have to find every bad one."""
    random = np.random.default_rng(0)
    every_sum = (
        np.concatenate([CODES, np.full(255, 127, np.int8)]),
        np.concatenate([np.full(256, -128, np.int8), CODES[1:]]),
    )
    bad = 0
    for ratio in random.uniform(0.1, 2.0, 2000):
        of, to = _result(1.0, int(random.integers(-128, 128))), _result(1 / ratio, int(random.integers(-128, 128)))
        wanted = formula_sum(*every_sum, (of, of), to, 1)
        if not all(np.array_equal(kernel(*every_sum, (of, of), to, 1), wanted) for kernel in SUMS.values()):
            bad += 1
            assert not add_is_safe(of, of, to)
    assert bad > 4
    bad = 0
    for p, q, r in random.integers(1, 128, (200, 3)):
        a, b, to = (_result(0.01 * n, int(random.integers(-128, 128))) for n in (p, q, r))
        wanted = formula_sum(*PAIRS, (a, b), to, 1)
        if not all(np.array_equal(kernel(*PAIRS, (a, b), to, 1), wanted) for kernel in SUMS.values()):
            bad += 1
            assert not add_is_safe(a, b, to)
    assert bad > 20
    bad = 0
    for scale in random.uniform(0.01, 0.04, 100):
        a, b, to = _result(0.013, 31), _result(0.019, -7), _result(scale, int(random.integers(-128, 128)))
        wanted = formula_product(*PAIRS, a, b, to)
        if not all(np.array_equal(kernel(*PAIRS, a, b, to), wanted) for kernel in PRODUCTS.values()):
            bad += 1
            assert not mul_is_safe(a, b, to)
    assert bad > 2


@pytest.mark.parametrize("times", [1.0, 0.375])
@pytest.mark.parametrize("kind", [QuantizedAdd, QuantizedSub])
def test_the_kernels_of_sums_are_the_runtimes_own(
    kind: type[QuantizedAdd | QuantizedSub], times: float, tmp_path: Path
) -> None:
    """Where results tie: what the models say of the runtimes is what these do, wrong against the formula or not."""
    of = _result(0.3, -37), _result(0.3 * times, -37)
    to = Quantization(of[0].scale * 2, 5)
    sign = 1 if kind is QuantizedAdd else -1
    wanted = {name: kernel(*PAIRS, of, to, sign) for name, kernel in SUMS.items()}
    got = _in_runtimes(kind(to, of=of), of, tmp_path)
    np.testing.assert_array_equal(got["litert"], wanted["xnnpack"])
    assert any(np.array_equal(got["onnxruntime"], wanted[name]) for name in ("x86", "neon", "scalar"))
    assert (got["litert"] != formula_sum(*PAIRS, of, to, sign)).any()


def test_the_kernels_of_products_are_the_runtimes_own(tmp_path: Path) -> None:
    a = b = Quantization(2.0**-7, 0)
    to = Quantization(2.0**-5, 3)
    got = _in_runtimes(QuantizedMul(to, of=(a, b)), (a, b), tmp_path)
    np.testing.assert_array_equal(got["litert"], formula_product(*PAIRS, a, b, to))
    assert any(np.array_equal(got["onnxruntime"], kernel(*PAIRS, a, b, to)) for kernel in PRODUCTS.values())


def _in_runtimes(op: OpAttrs, of: tuple[Quantization, Quantization], folder: Path) -> dict[str, Array]:
    """All pairs through one op in ONNX Runtime and in LiteRT."""
    graph = Graph()
    operands = [graph.add_input(name, TensorType(DType.INT8, (2**16,), q)) for name, q in zip("ab", of, strict=True)]
    graph.set_output("y", graph.add(op, *operands))
    answers: dict[str, Array] = {}
    for port, runner in (("onnx", "onnxruntime"), ("tflite", "litert")):
        target = get_target(port)
        path = folder / target.artefact
        target.write(prepare(graph, target), path, {})
        with get_runner(runner).load(path) as session:
            answers[runner] = session.run({"a": PAIRS[0], "b": PAIRS[1]})["y"]
    return answers


def test_a_scale_of_half_the_resolution_puts_every_other_sum_on_a_tie() -> None:
    of, to = Quantization(0.5, 0), Quantization(1.0, 0)
    assert not add_is_safe(of, of, to) and not sub_is_safe(of, of, to)
    wanted = formula_sum(*PAIRS, (of, of), to, 1)
    assert int((SUMS["xnnpack"](*PAIRS, (of, of), to, 1) != wanted).sum()) > 16_000


def test_ties_of_products_are_rounded_up_on_phones_and_turn_round_above_an_odd_zero_point() -> None:
    a = b = Quantization(2.0**-7, 0)
    odd, even = Quantization(2.0**-5, 3), Quantization(2.0**-5, 4)
    assert not mul_is_safe(a, b, even) and not mul_is_safe(a, b, odd)
    assert (PRODUCTS["xnnpack neon"](*PAIRS, a, b, even) != formula_product(*PAIRS, a, b, even)).any()
    assert (PRODUCTS["vector"](*PAIRS, a, b, odd) != formula_product(*PAIRS, a, b, odd)).any()
    assert (PRODUCTS["vector"](*PAIRS, a, b, even) == formula_product(*PAIRS, a, b, even)).all()


def test_a_sum_far_finer_than_its_operands_is_beyond_what_was_worked_out() -> None:
    coarse, fine = Quantization(1.0, 0), Quantization(0.125, 0)
    assert not add_is_safe(coarse, coarse, fine) and not add_is_safe(coarse, fine, fine)


def test_results_beyond_the_codes_cannot_tie() -> None:
    steps = np.array([126.5, 127.5, 200.5, -127.5, -128.5, 0.25])
    np.testing.assert_allclose(distance_from_tie(steps, Quantization(1.0, 0)), [0, 0.5, 0.5, 0, 0.5, 0.25])


@unhurried
@given(quantizations, st.floats(2.0**-10, 2.0**-4), zero_points, st.integers(0, 2**32 - 1))
def test_an_error_below_the_margin_changes_no_code(of: Quantization, scale: float, zero_point: int, seed: int) -> None:
    to = _result(scale, zero_point)
    margin = unary_margin(np.tanh, of, to)
    exact: Reals = np.tanh((CODES.astype(np.float64) - of.zero_point) * of.scale)
    wrong = exact + np.random.default_rng(seed).choice([-1.0, 1.0], 256) * margin * to.scale * (1 - 1e-9)
    first, second = (np.clip(np.rint(y / to.scale) + to.zero_point, -128, 127) for y in (exact, wrong))
    np.testing.assert_array_equal(first, second)


def test_the_margin_is_that_of_the_worst_code() -> None:
    identity = unary_margin(lambda x: x, Quantization(1.0, 0), Quantization(2.0, 0))
    assert identity == 0 and unary_margin(lambda x: x, Quantization(1.0, 0), Quantization(1.0, 0)) == 0.5
    assert math.isclose(unary_margin(lambda x: x * 0 + 0.3, Quantization(1.0, 0), Quantization(1.0, 0)), 0.2)


def test_nudging_keeps_a_safe_scale_and_else_takes_the_next() -> None:
    assert nudged(0.1, lambda scale: True) == float(np.float32(0.1))
    found = nudged(0.1, lambda scale: scale > 0.1005)
    assert found is not None and 0.1005 < found <= 0.1005 + 0.1 * STEP
    assert found == float(np.float32(found))


def test_nudging_gives_up() -> None:
    tried: list[float] = []

    def never(scale: float) -> bool:
        tried.append(scale)
        return False

    assert nudged(0.1, never) is None
    assert len(tried) == TRIES and max(tried) < 0.103


@unhurried
@given(st.floats(2.0**-16, 3.0, width=32), st.integers(0, 2**32 - 1))
def test_the_table_of_a_softmax_is_what_any_exp_finds(scale: float, seed: int) -> None:
    """Whichever way a float32 exp is off, by 8 units in its last place here."""
    table = softmax_table(scale, 2**14, gives_codes=True)
    assert comes_of_exp(table, scale) and SOFTMAX_STEPS // 2 < table[0] <= SOFTMAX_STEPS
    powers = np.arange(256, dtype=np.float32) * np.float32(-scale)
    off = 1 + np.random.default_rng(seed).choice([-1.0, 1.0], 256) * 8 * 2.0**-23
    found = (np.exp(powers, dtype=np.float32) * off).astype(np.float32) * table[0]
    np.testing.assert_array_equal(np.floor(found + np.float32(0.5)), table)


def test_a_table_that_another_exp_would_not_find_is_known() -> None:
    table = softmax_table(0.05, 2**14, gives_codes=True)
    other = table.copy()
    other[3] += 1
    assert comes_of_exp(table, 0.05) and not comes_of_exp(other, 0.05)
    near_a_tie = np.rint(np.exp(-np.arange(256) * 0.0021) * 2**14).astype(np.float32)
    assert not comes_of_exp(near_a_tie, 0.0021)


def test_a_softmax_that_gives_float32_has_all_steps_that_its_sums_leave_room_for() -> None:
    assert softmax_table(0.05, 2**20, gives_codes=False)[0] == 2**20
    assert softmax_table(0.05, 1000, gives_codes=True)[0] <= 1000
