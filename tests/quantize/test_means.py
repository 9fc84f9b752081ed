"""Scales at which kernels for means agree, whatever they requantize with."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from small_graphs import BATCH

from triport.exporter.graph import Array, DType, Graph, Quantization, TensorType
from triport.exporter.ops import Conv, Layout, QuantizedConv, ReduceMean
from triport.exporter.ops.quantized import means_are_untied, multiplier
from triport.quantize import quantize
from triport.quantize.means import MOST_RAISED, untied_scales

codes = st.integers(-128, 127)


def _convolution(sums: Array, cells: int, of: Quantization, to: Quantization) -> Array:
    factor = np.float32(multiplier(of.scale, float(np.float32(1 / cells)), to.scale))
    return np.clip(np.rint(sums.astype(np.float32) * factor) + np.float32(to.zero_point), -128, 127)


def _xnnpack(sums: Array, cells: int, of: Quantization, to: Quantization) -> Array:
    """The sum of codes and that of zero points apart (operators/reduce-nd.c)."""
    factor = np.float32(np.float32(1 / cells) * np.float32(of.scale)) * np.float32(1 / np.float32(to.scale))
    zero = np.float32(to.zero_point) - np.float32(cells * of.zero_point) * factor
    return np.clip(np.rint((sums + cells * of.zero_point).astype(np.float32) * factor + zero), -128, 127)


def _mlas_on_arm(sums: Array, cells: int, of: Quantization, to: Quantization) -> Array:
    """24 bits of a multiplier, and halves away from zero (qlgavgpool.cpp)."""
    factor = np.float32(of.scale) / (np.float32(to.scale) * np.float32(cells))
    steps = sums.astype(np.float64) * float(factor)
    return np.clip(np.sign(steps) * np.floor(np.abs(steps) + 0.5) + to.zero_point, -128, 127)


@given(
    cells=st.integers(2, 256),
    scale=st.floats(1e-4, 1e2),
    ratio=st.floats(1.0, 30.0),
    zero_points=st.tuples(codes, codes),
)
@settings(max_examples=25, deadline=None)
def test_at_such_a_scale_all_kernels_give_the_same_means(
    cells: int, scale: float, ratio: float, zero_points: tuple[int, int]
) -> None:
    of = Quantization(float(np.float32(scale)), zero_points[0])
    wanted = Quantization(float(np.float32(scale / ratio)), zero_points[1])
    found = list(untied_scales(cells, of, wanted))
    assert found and wanted.scale * (1 - 1e-6) <= found[0] <= wanted.scale * MOST_RAISED
    sums = np.arange(cells * (-128 - of.zero_point), cells * (127 - of.zero_point) + 1)
    for one in found:
        to = Quantization(one, wanted.zero_point)
        want = _convolution(sums, cells, of, to)
        assert np.array_equal(_xnnpack(sums, cells, of, to), want)
        assert np.array_equal(_mlas_on_arm(sums, cells, of, to), want)


def test_a_mean_that_may_lie_half_way_between_two_codes_is_tied() -> None:
    of = Quantization(0.5, 0)
    assert not means_are_untied(2, of, Quantization(0.5, 0))
    assert means_are_untied(3, of, Quantization(0.5, 0))


def test_a_plan_keeps_means_of_images_from_ties() -> None:
    rng = np.random.default_rng(3)
    graph = Graph("pooled")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, 8, 8, 3)))
    weight = graph.add_constant(rng.normal(0, 1, (6, 1, 1, 3)).astype(np.float32), "w")
    conv = Conv((1, 1), ((0, 0), (0, 0)), (1, 1), 1, Layout.CHANNELS_LAST)
    graph.set_output("y", graph.add(ReduceMean((1, 2), False), graph.add(conv, x, weight, name="conv"), name="mean"))
    quantized = quantize(graph, "int8", calibration={"x": rng.normal(0, 1, (32, 8, 8, 3)).astype(np.float32)})
    before, mean = (node.op for node in quantized.nodes if isinstance(node.op, QuantizedConv))
    assert means_are_untied(64, before.to, mean.to)
