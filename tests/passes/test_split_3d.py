from __future__ import annotations

from dataclasses import replace

import pytest
from passes.build import Builder, count, fires, labels, leaves_alone

from triport.exporter.ops import (
    Activation,
    Add,
    AveragePool,
    Conv,
    ConvTranspose,
    Layout,
    MaxPool,
    OpAttrs,
    Resize,
    ResizeMode,
)
from triport.exporter.passes.split_3d import split_3d

LAST = Layout.CHANNELS_LAST
ONE = (1, 1, 1)
NONE = ((0, 0), (0, 0), (0, 0))


@pytest.mark.parametrize(
    "op",
    [
        MaxPool((2, 2, 3), (2, 1, 1), ((1, 0), (0, 1), (1, 1)), (2, 1, 1), LAST),
        AveragePool((3, 2, 2), (1, 2, 2), ((1, 1), (0, 1), (0, 0)), ONE, LAST),
        AveragePool((3, 2, 2), (1, 2, 2), ((1, 1), (0, 1), (0, 0)), ONE, LAST, count_include_pad=True),
        Resize((3, 7, 5), ResizeMode.BILINEAR, layout=LAST),
        Resize((9, 4, 5), ResizeMode.NEAREST, layout=LAST),
    ],
    ids=lambda op: op.label(),
)
def test_the_depth_follows_height_and_width(op: OpAttrs) -> None:
    b = Builder()
    names = labels(fires(split_3d, b.done(b.add(op, b.input(6, 5, 4, 2)))))
    assert names.count(op.label().replace("3d", "2d")) == 2


def test_a_convolution_is_the_sum_over_the_slices_of_its_kernel() -> None:
    b = Builder()
    op = Conv((2, 1, 1), ((1, 1), (0, 1), (1, 0)), (2, 1, 1), 2, LAST, Activation.RELU)
    y = b.add(op, b.input(7, 5, 4, 4), b.constant(6, 3, 2, 3, 2), b.constant(6))
    after = fires(split_3d, b.done(y))
    assert (labels(after).count("conv2d"), count(after, Add)) == (3, 2)


@pytest.mark.parametrize("padding", [((1, 1), (0, 0), (1, 0)), ((0, -1), (0, -1), (0, 0))])
def test_a_transposed_convolution_spreads_its_slices(padding: tuple[tuple[int, int], ...]) -> None:
    b = Builder()
    op = ConvTranspose((2, 2, 1), padding, (1, 1, 2), 1, LAST)
    y = b.add(op, b.input(3, 3, 4, 2), b.constant(3, 3, 2, 2, 2), b.constant(3))
    assert labels(fires(split_3d, b.done(y))).count("conv_transpose2d") == 3


def test_other_layouts_computed_weights_and_images_stay() -> None:
    b = Builder()
    pool = MaxPool((2, 2, 2), (2, 2, 2), NONE, ONE, LAST)
    leaves_alone(split_3d, b.done(b.add(replace(pool, layout=Layout.CHANNELS_FIRST), b.input(2, 4, 4, 4))))
    b = Builder()
    weight = b.graph.add_input("w", b.constant(3, 2, 2, 2, 2).type)
    leaves_alone(split_3d, b.done(b.add(Conv(ONE, NONE, ONE, layout=LAST), b.input(4, 4, 4, 2), weight)))
    b = Builder()
    leaves_alone(split_3d, b.done(b.conv(b.input(4, 4, 3), 2, layout=LAST)))
