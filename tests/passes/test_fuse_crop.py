from __future__ import annotations

import pytest
from passes.build import Builder, fires, leaves_alone

from triport.exporter.graph import Value
from triport.exporter.ops import Activation, ConvTranspose, Layout, Slice
from triport.exporter.passes.fuse_crop import fuse_crop


def _spread(b: Builder, activation: Activation = Activation.NONE) -> Value:
    """[batch, 4, 11, 9]"""
    op = ConvTranspose((2, 2), ((0, 0), (0, 0)), (1, 1), activation=activation)
    return b.add(op, b.input(3, 5, 4), b.constant(3, 4, 3, 3), b.constant(4))


@pytest.mark.parametrize("activation", [Activation.NONE, Activation.RELU6])
def test_transposed_convolution_crops_its_own_result(activation: Activation) -> None:
    b = Builder()
    after = fires(fuse_crop, b.done(b.add(Slice((2, 3), (1, 0), (10, 7), (1, 1)), _spread(b, activation))))
    (node,) = after.nodes
    assert getattr(node.op, "padding", None) == ((1, 1), (0, 2))


def test_channels_last_crops_its_middle_axes() -> None:
    b = Builder()
    op = ConvTranspose((2, 2), ((0, 0), (0, 0)), (1, 1), layout=Layout.CHANNELS_LAST)
    y = b.add(op, b.input(5, 4, 3), b.constant(4, 3, 3, 3))
    fires(fuse_crop, b.done(b.add(Slice((1,), (0,), (9,), (1,)), y)))


@pytest.mark.parametrize("crop", [Slice((1,), (0,), (3,), (1,)), Slice((2,), (0,), (11,), (2,))])
def test_slices_of_channels_and_with_steps_stay(crop: Slice) -> None:
    b = Builder()
    leaves_alone(fuse_crop, b.done(b.add(crop, _spread(b))))


def test_slice_stays_where_the_whole_is_read_too() -> None:
    b = Builder()
    whole = _spread(b)
    leaves_alone(fuse_crop, b.done(b.add(Slice((2,), (1,), (9,), (1,)), whole), whole))
