from __future__ import annotations

import pytest
from passes.build import Builder, count, fires, leaves_alone

from triport.exporter.graph import Node, Value
from triport.exporter.ops import Activation, Conv, ConvTranspose, Layout, MatMul
from triport.exporter.passes.unfold_conv import unfold_conv

LAST = Layout.CHANNELS_LAST


def _spells_nothing(node: Node) -> bool:
    return False


def _computed(b: Builder, *shape: int) -> Value:
    return b.graph.add_input("w", b.constant(*shape).type)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_computed_weight_is_a_factor(groups: int) -> None:
    b = Builder()
    op = Conv((2, 1), ((1, 0), (0, 2)), (1, 2), groups, LAST, Activation.RELU6)
    y = b.add(op, b.input(6, 7, 4), _computed(b, 6, 3, 2, 4 // groups), b.constant(6))
    assert count(fires(unfold_conv(_spells_nothing), b.done(y)), MatMul) == groups


@pytest.mark.parametrize("groups", [1, 2])
def test_a_computed_weight_of_a_transposed_convolution(groups: int) -> None:
    b = Builder()
    op = ConvTranspose((2, 3), ((1, 0), (3, -1)), (1, 2), groups, LAST)
    y = b.add(op, b.input(4, 3, 4), _computed(b, 3, 3, 2, 4), b.constant(3 * groups))
    assert count(fires(unfold_conv(_spells_nothing), b.done(y)), MatMul) == groups


def test_three_axes_are_taken_too() -> None:
    b = Builder()
    op = Conv((1, 2, 1), ((1, 1), (0, 0), (0, 1)), (1, 1, 1), 1, LAST)
    y = b.add(op, b.input(3, 5, 4, 2), _computed(b, 3, 2, 3, 2, 2))
    assert count(fires(unfold_conv(_spells_nothing), b.done(y)), MatMul) == 1


def test_stored_weights_and_what_the_target_spells_stay() -> None:
    b = Builder()
    leaves_alone(unfold_conv(_spells_nothing), b.done(b.conv(b.input(5, 5, 3), 2, layout=LAST)))
    b = Builder()
    y = b.add(Conv((1, 1), ((0, 0), (0, 0)), (1, 1), layout=LAST), b.input(5, 5, 3), _computed(b, 2, 3, 3, 3))
    leaves_alone(unfold_conv(lambda node: True), b.done(y))
