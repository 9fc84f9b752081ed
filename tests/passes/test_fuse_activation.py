from __future__ import annotations

import math

import pytest
from passes.build import CLAMPS, Builder, fires, labels, leaves_alone

from triport.exporter.ops import Activation, Add, Clamp, Conv, Linear, OpAttrs, Relu, Sigmoid
from triport.exporter.passes.fuse_activation import fuse_activation

FUSE = fuse_activation({Conv: CLAMPS, Add: CLAMPS, Linear: frozenset({Activation.RELU})})


@pytest.mark.parametrize(
    ("op", "activation"),
    [
        (Relu(), Activation.RELU),
        (Clamp(0.0, math.inf), Activation.RELU),
        (Clamp(0.0, 6.0), Activation.RELU6),
    ],
)
def test_kernel_takes_in_the_clamp_behind_it(op: OpAttrs, activation: Activation) -> None:
    b = Builder()
    after = fires(FUSE, b.done(b.add(op, b.conv(b.input(3, 5, 5), 4, name="stem"), name="act")))
    (node,) = after.nodes
    assert node.name == "stem"
    assert getattr(node.op, "activation", None) is activation


def test_addition_takes_in_a_relu() -> None:
    b = Builder()
    x = b.input(4)
    assert labels(fires(FUSE, b.done(b.add(Relu(), b.add(Add(), x, x))))) == ["add"]


def test_only_the_first_of_two_clamps_is_taken_in() -> None:
    b = Builder()
    x = b.add(Clamp(0.0, 6.0), b.add(Relu(), b.linear(b.input(3), 4)))
    assert labels(fires(FUSE, b.done(x))) == ["linear", "clamp"]


@pytest.mark.parametrize("op", [Clamp(0.0, 5.0), Clamp(-1.0, 6.0), Clamp(-math.inf, 6.0), Sigmoid()])
def test_other_activations_stay(op: OpAttrs) -> None:
    b = Builder()
    leaves_alone(FUSE, b.done(b.add(op, b.conv(b.input(3, 4, 4), 4))))


def test_clamp_stays_where_the_kernel_cannot() -> None:
    b = Builder()
    leaves_alone(FUSE, b.done(b.add(Clamp(0.0, 6.0), b.linear(b.input(3), 4))))


def test_clamp_stays_where_its_input_has_another_reader() -> None:
    b = Builder()
    x = b.linear(b.input(3), 4)
    leaves_alone(FUSE, b.done(b.add(Add(), b.add(Relu(), x), x)))


def test_clamp_stays_where_its_input_is_an_output() -> None:
    b = Builder()
    x = b.linear(b.input(3), 4)
    leaves_alone(FUSE, b.done(b.add(Relu(), x), x))
