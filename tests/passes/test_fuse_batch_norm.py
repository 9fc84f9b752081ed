from __future__ import annotations

import numpy as np
import pytest
from passes.build import Builder, count, fires, leaves_alone

from triport.exporter.ops import Activation, BatchNorm, Conv, ConvTranspose, Layout, Linear
from triport.exporter.passes.fuse_batch_norm import fuse_batch_norm


@pytest.mark.parametrize("bias", [True, False])
def test_convolution_takes_in_the_norm_behind_it(bias: bool) -> None:
    b = Builder()
    after = fires(fuse_batch_norm, b.done(b.batch_norm(b.conv(b.input(3, 6, 5), 4, bias=bias))))
    assert [node.name for node in after.nodes] == ["conv"]
    assert [value.name for value in after.nodes[0].inputs] == ["x", "conv.weight", "conv.bias"]


def test_depthwise_convolution_takes_in_the_norm() -> None:
    b = Builder()
    after = fires(fuse_batch_norm, b.done(b.batch_norm(b.conv(b.input(4, 6, 5), 8, groups=4))))
    assert count(after, BatchNorm) == 0


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolution_takes_in_the_norm(layout: Layout, groups: int) -> None:
    """The weight's channels stand group by group: [I, O/groups, *kernel]."""
    b = Builder()
    first = layout is Layout.CHANNELS_FIRST
    x = b.input(4, 5, 3) if first else b.input(5, 3, 4)
    weight = b.constant(4, 6 // groups, 3, 2) if first else b.constant(6 // groups, 3, 2, 4)
    op = ConvTranspose((2, 1), ((0, 1), (0, 0)), (1, 1), groups, layout)
    y = b.add(op, x, weight, b.constant(6))
    after = fires(fuse_batch_norm, b.done(b.batch_norm(y, 1 if first else 3)))
    assert count(after, BatchNorm) == 0


def test_channels_last_convolution_takes_in_the_norm_of_the_last_axis() -> None:
    b = Builder()
    x = b.conv(b.input(6, 5, 3), 4, layout=Layout.CHANNELS_LAST)
    fires(fuse_batch_norm, b.done(b.batch_norm(x, 3)))


def test_linear_takes_in_the_norm() -> None:
    b = Builder()
    fires(fuse_batch_norm, b.done(b.batch_norm(b.linear(b.input(5), 7))))


def test_a_chain_of_norms_is_taken_in_one_by_one() -> None:
    b = Builder()
    after = fires(fuse_batch_norm, b.done(b.batch_norm(b.batch_norm(b.conv(b.input(3, 5, 5), 4)), name="again")))
    assert count(after, BatchNorm) == 0


def test_a_weight_that_two_layers_share_is_not_changed_for_the_other() -> None:
    b = Builder()
    x, weight = b.input(3, 6, 6), b.constant(3, 3, 3, 3, name="shared")
    op = Conv((1, 1), ((1, 1), (1, 1)), (1, 1))
    y = b.add(op, b.batch_norm(b.add(op, x, weight, name="first")), weight, name="second")
    after = fires(fuse_batch_norm, b.done(y))
    assert len({id(node.inputs[1].array()) for node in after.nodes}) == 2


def test_norm_over_another_axis_stays() -> None:
    b = Builder()
    leaves_alone(fuse_batch_norm, b.done(b.batch_norm(b.conv(b.input(3, 4, 4), 4), axis=2)))


def test_norm_stays_where_the_convolution_has_another_reader() -> None:
    b = Builder()
    x = b.conv(b.input(3, 4, 4), 4)
    leaves_alone(fuse_batch_norm, b.done(b.batch_norm(x), x))


def test_norm_stays_behind_an_activation_that_is_fused_already() -> None:
    b = Builder()
    x = b.add(Linear(Activation.RELU), b.input(4), b.constant(4, 4))
    leaves_alone(fuse_batch_norm, b.done(b.batch_norm(x)))


def test_norm_stays_where_the_weight_is_computed() -> None:
    b = Builder()
    x = b.add(Linear(), b.input(4), b.graph.add_input("w", b.constant(4, 4).type))
    leaves_alone(fuse_batch_norm, b.done(b.batch_norm(x)))


def test_fused_weights_keep_the_dtype_of_the_weights() -> None:
    b = Builder()
    after = fires(fuse_batch_norm, b.done(b.batch_norm(b.conv(b.input(3, 4, 4), 4))))
    assert {value.array().dtype for value in after.constants()} == {np.dtype(np.float32)}
