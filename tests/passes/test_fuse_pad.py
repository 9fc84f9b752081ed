from __future__ import annotations

import math

import pytest
from passes.build import Builder, fires, labels, leaves_alone

from triport.exporter.graph import Value
from triport.exporter.ops import AveragePool, Layout, MaxPool, Pad, Relu
from triport.exporter.passes.fuse_pad import fuse_pad

SPATIAL = Pad((0, 0, 1, 2), (0, 0, 0, 3))


def test_convolution_pads_for_itself_and_adds_to_its_own_padding() -> None:
    b = Builder()
    after = fires(fuse_pad, b.done(b.conv(b.add(SPATIAL, b.input(3, 6, 5)), 4)))
    (node,) = after.nodes
    assert getattr(node.op, "padding", None) == ((2, 1), (3, 4))


def test_channels_last_convolution_pads_its_middle_axes() -> None:
    b = Builder()
    x = b.add(Pad((0, 1, 2, 0), (0, 0, 1, 0)), b.input(6, 5, 3))
    assert labels(fires(fuse_pad, b.done(b.conv(x, 4, layout=Layout.CHANNELS_LAST)))) == ["conv2d"]


def test_max_pool_takes_in_padding_of_minus_infinity() -> None:
    b = Builder()
    x = b.add(Pad((0, 0, 1, 1), (0, 0, 1, 1), -math.inf), b.input(2, 6, 6))
    y = b.add(MaxPool((3, 3), (2, 2), ((0, 0), (0, 0)), (1, 1)), x)
    assert labels(fires(fuse_pad, b.done(y))) == ["max_pool2d"]


def _mean(b: Builder, x: Value, counted: bool) -> Value:
    return b.add(AveragePool((3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), count_include_pad=counted), x)


def test_average_pool_that_counts_its_padding_takes_in_zeros() -> None:
    b = Builder()
    x = b.add(Pad((0, 0, 1, 0), (0, 0, 0, 1)), b.input(2, 5, 5))
    assert labels(fires(fuse_pad, b.done(_mean(b, x, True)))) == ["average_pool2d"]


def test_average_pool_that_would_be_padded_by_its_window_does_not() -> None:
    b = Builder()
    leaves_alone(fuse_pad, b.done(_mean(b, b.add(Pad((0, 0, 2, 0), (0, 0, 0, 0)), b.input(2, 5, 5)), True)))


def test_what_makes_an_axis_shorter_stays() -> None:
    b = Builder()
    leaves_alone(fuse_pad, b.done(b.conv(b.add(Pad((0, 0, 0, -1), (0, 0, 0, 0)), b.input(3, 5, 6)), 4)))


def test_average_pool_that_leaves_padding_out_does_not() -> None:
    b = Builder()
    leaves_alone(fuse_pad, b.done(_mean(b, b.add(SPATIAL, b.input(2, 5, 5)), False)))


def test_max_pool_does_not_take_in_zeros() -> None:
    b = Builder()
    x = b.add(SPATIAL, b.input(2, 6, 6))
    leaves_alone(fuse_pad, b.done(b.add(MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)), x)))


@pytest.mark.parametrize("pad", [Pad((0, 1, 0, 0), (0, 0, 1, 1)), Pad((0, 0, 1, 1), (0, 0, 1, 1), 0.5)])
def test_padded_channels_and_other_values_stay(pad: Pad) -> None:
    b = Builder()
    leaves_alone(fuse_pad, b.done(b.conv(b.add(pad, b.input(3, 5, 5)), 4)))


def test_pad_with_another_reader_stays_for_that_one() -> None:
    b = Builder()
    padded = b.add(SPATIAL, b.input(3, 6, 5))
    after = fires(fuse_pad, b.done(b.conv(padded, 4), b.add(Relu(), padded)))
    assert sorted(labels(after)) == ["conv2d", "pad", "relu"]
    assert after.outputs["y"].producer is not None
    assert after.outputs["y"].producer.inputs[0].name == "x"
