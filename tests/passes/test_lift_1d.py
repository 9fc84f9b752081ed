from __future__ import annotations

import pytest
from passes.build import CLAMPS, Builder, count, fires, labels, leaves_alone, legalised

from triport.exporter.graph import Value
from triport.exporter.ops import (
    Add,
    AveragePool,
    Conv,
    ConvTranspose,
    Layout,
    MaxPool,
    OpAttrs,
    Relu,
    Reshape,
    Resize,
    ResizeMode,
    Transpose,
)
from triport.exporter.passes.lift_1d import lift_1d


def _conv(b: Builder, x: Value, outputs: int, layout: Layout = Layout.CHANNELS_FIRST) -> Value:
    channels = x.type.shape[layout.channel_axis(3)]
    assert isinstance(channels, int)
    first = layout is Layout.CHANNELS_FIRST
    weight = b.constant(*((outputs, channels, 3) if first else (outputs, 3, channels)), name="conv.weight")
    return b.add(Conv((1,), ((1, 1),), (1,), layout=layout), x, weight, b.constant(outputs), name="conv")


@pytest.mark.parametrize("layout", Layout)
def test_convolution_is_written_over_two_axes(layout: Layout) -> None:
    b = Builder()
    after = fires(
        lift_1d, b.done(_conv(b, b.input(3, 9) if layout is Layout.CHANNELS_FIRST else b.input(9, 3), 4, layout))
    )
    assert labels(after) == ["reshape", "conv2d", "reshape"]
    assert after.nodes[1].name == "conv"
    assert after.nodes[1].inputs[1].name == "conv.weight"


@pytest.mark.parametrize(
    "op",
    [
        MaxPool((3,), (2,), ((1, 0),), (1,)),
        AveragePool((2,), (1,), ((0, 1),), (1,), count_include_pad=True),
        Resize((7,), ResizeMode.BILINEAR),
    ],
    ids=lambda op: op.name,
)
def test_pool_and_resize_are_written_over_two_axes(op: OpAttrs) -> None:
    b = Builder()
    assert labels(fires(lift_1d, b.done(b.add(op, b.input(3, 9)))))[1] == op.label().replace("1d", "2d")


def test_transposed_convolution_is_written_over_two_axes() -> None:
    b = Builder()
    y = b.add(ConvTranspose((2,), ((1, 0),), (1,), 2), b.input(4, 5), b.constant(4, 3, 3))
    assert labels(fires(lift_1d, b.done(y)))[1] == "conv_transpose2d"


def test_a_computed_weight_is_reshaped_where_the_model_runs() -> None:
    b = Builder()
    weight = b.graph.add_input("w", b.constant(4, 3, 3).type)
    y = b.add(Conv((1,), ((1, 1),), (1,)), b.input(3, 9), weight)
    assert count(fires(lift_1d, b.done(y)), Reshape) == 3


def test_ops_over_two_axes_stay() -> None:
    b = Builder()
    leaves_alone(lift_1d, b.done(b.conv(b.input(3, 4, 4), 2)))


def test_a_chain_keeps_one_reshape_at_each_end_and_fuses_its_clamps() -> None:
    b = Builder()
    x = b.input(9, 3)
    last = Layout.CHANNELS_LAST
    h = b.add(Relu(), _conv(b, x, 4, last))
    h = b.add(Relu(), b.add(Add(), _conv(b, h, 4, last), h))
    y = b.add(MaxPool((2,), (2,), ((0, 0),), (1,), last), b.add(Relu(), _conv(b, h, 5, last)))
    after = legalised(b.done(y), last, fuses={Conv: CLAMPS, Add: CLAMPS}, lifts_1d=True)
    assert (count(after, Reshape), count(after, Transpose), count(after, Relu)) == (2, 0, 0)
