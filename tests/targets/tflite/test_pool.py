"""Pooling with every kind of padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from triport.exporter.graph import Sym
from triport.exporter.ops import AveragePool, Layout, MaxPool, Pow, Relu, Sub
from triport.targets.prepare import prepare

BATCH = Sym.named("batch")
LAST = Layout.CHANNELS_LAST
ONES = (1, 1)

WINDOWS = {
    "halves": ((8, 6), (2, 2), (2, 2), ((0, 0), (0, 0))),
    "halves_of_odd": ((9, 7), (2, 2), (2, 2), ((0, 0), (0, 0))),
    "same": ((8, 7), (3, 3), (1, 1), ((1, 1), (1, 1))),
    "torch_stem": ((8, 8), (3, 3), (2, 2), ((1, 1), (1, 1))),
    "torch_stem_odd": ((9, 7), (3, 3), (2, 2), ((1, 1), (1, 1))),
    "keras_same": ((8, 7), (3, 3), (2, 2), ((0, 1), (1, 1))),
    "asymmetric": ((6, 5), (3, 2), (1, 2), ((2, 0), (0, 1))),
    "whole_image": ((5, 4), (5, 4), (5, 4), ((0, 0), (0, 0))),
    "lifted_1d": ((1, 13), (1, 3), (1, 2), ((0, 0), (1, 1))),
    "keeps_the_count": ((6, 6), (3, 3), (3, 3), ((1, 0), (2, 0))),
    "unreached": ((6, 6), (3, 3), (3, 3), ((0, 2), (0, 1))),
}


def naive(kind: str, kernel: Any, stride: Any, padding: Any) -> Any:
    """Window by window, in float64."""

    def formula(x: Any) -> Any:
        (top, bottom), (left, right) = padding
        frame = ((0, 0), (top, bottom), (left, right), (0, 0))
        cells = np.pad(np.ones_like(x, np.float64), frame)
        fill = -np.inf if kind == "max" else 0.0
        x = np.pad(x.astype(np.float64), frame, constant_values=fill)
        rows = (x.shape[1] - kernel[0]) // stride[0] + 1
        columns = (x.shape[2] - kernel[1]) // stride[1] + 1
        y = np.zeros((x.shape[0], rows, columns, x.shape[3]))
        for i in range(rows):
            for j in range(columns):
                window = np.s_[:, i * stride[0] : i * stride[0] + kernel[0], j * stride[1] : j * stride[1] + kernel[1]]
                if kind == "max":
                    y[:, i, j] = x[window].max((1, 2))
                elif kind == "counted":
                    y[:, i, j] = x[window].mean((1, 2))
                else:
                    y[:, i, j] = x[window].sum((1, 2)) / cells[window].sum((1, 2))
        return y

    return formula


def op_of(kind: str, kernel: Any, stride: Any, padding: Any) -> Any:
    if kind == "max":
        return MaxPool(kernel, stride, padding, ONES, LAST)
    return AveragePool(kernel, stride, padding, ONES, LAST, count_include_pad=kind == "counted")


@pytest.mark.parametrize("kind", ["max", "counted", "not_counted"])
@pytest.mark.parametrize("case", WINDOWS)
def test_pool_equals_the_naive_formula(bench: Any, sketch: Any, case: str, kind: str) -> None:
    size, kernel, stride, padding = WINDOWS[case]
    x = sketch.input(BATCH, *size, 3)
    y = sketch.op(op_of(kind, kernel, stride, padding), x)
    bench.agree(sketch.output(y), naive(kind, kernel, stride, padding))


@pytest.mark.parametrize("kind", ["max", "counted", "not_counted"])
def test_pool_over_free_height_and_width(bench: Any, sketch: Any, kind: str) -> None:
    x = sketch.input(BATCH, Sym.named("height"), Sym.named("width"), 2)
    window = ((3, 3), (2, 2), ((1, 1), (1, 1)))
    graph = sketch.output(sketch.op(op_of(kind, *window), x))
    bench.agree(graph, naive(kind, *window), sizes=[{"height": 6, "width": 5}, {"height": 3, "width": 8}])


def test_max_pool_behind_a_relu_is_padded_with_zeros(bench: Any, sketch: Any) -> None:
    x = sketch.op(Relu(), sketch.input(BATCH, 8, 8, 2))
    graph = sketch.output(sketch.op(MaxPool((3, 3), (2, 2), ((1, 1), (1, 1)), ONES, LAST), x))
    assert bench.codes(graph) == ["RELU", "PAD", "MAX_POOL_2D"]
    bench.agree(graph, lambda x: naive("max", (3, 3), (2, 2), ((1, 1), (1, 1)))(np.maximum(x, 0)))


def test_max_pool_of_a_max_pool_keeps_negative_cells(bench: Any, sketch: Any) -> None:
    window = ((3, 3), (2, 2), ((1, 1), (1, 1)))
    inner = sketch.op(op_of("max", *window), sketch.input(BATCH, 8, 8, 2))
    below_zero = sketch.op(Sub(), inner, sketch.of(np.float32(5.0)))
    graph = sketch.output(sketch.op(op_of("max", *window), sketch.op(op_of("max", *window), below_zero)))
    formula = naive("max", *window)
    bench.agree(graph, lambda x: formula(formula(formula(x) - 5)))


@pytest.mark.parametrize(("exponent", "codes"), [(1.5, "ADD"), (2.0, "AVERAGE_POOL_2D")])
def test_a_mean_of_fractional_powers_is_a_sum(bench: Any, sketch: Any, exponent: float, codes: str) -> None:
    """XNNPACK's AVERAGE_POOL_2D answers infinity where a window holds NaN, which those of negative numbers are."""
    powers = sketch.op(Pow(), sketch.input(BATCH, 4, 4, 2), sketch.of(np.float32(exponent)))
    graph = sketch.output(sketch.op(op_of("not_counted", (2, 2), (2, 2), ((0, 0), (0, 0))), powers))
    prepared = prepare(graph, bench.target)
    assert codes in bench.codes(prepared)
    formula = naive("not_counted", (2, 2), (2, 2), ((0, 0), (0, 0)))
    with np.errstate(invalid="ignore"):
        bench.agree(prepared, lambda x: formula(x.astype(np.float64) ** exponent))


def test_dilated_pooling_is_refused(bench: Any, sketch: Any) -> None:
    y = sketch.op(MaxPool((2, 2), (1, 1), ((0, 0), (0, 0)), (2, 2), LAST), sketch.input(BATCH, 8, 8, 2))
    refusal = bench.target.refusal(y.producer)
    assert refusal is not None and refusal.code == "TP103" and "dilation (2, 2)" in refusal.because
