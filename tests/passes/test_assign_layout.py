from __future__ import annotations

import numpy as np
import pytest
from passes.build import TO_FIRST, TO_LAST, Builder, count, fires, labels, leaves_alone

from triport.exporter.graph import Value
from triport.exporter.ops import (
    AveragePool,
    Conv,
    ConvTranspose,
    Layout,
    MaxPool,
    Relu,
    Resize,
    ResizeMode,
    Transpose,
)
from triport.exporter.passes.assign_layout import assign_layout

FIRST, LAST = Layout.CHANNELS_FIRST, Layout.CHANNELS_LAST
NONE = ((0, 0), (0, 0))


def _spatial(b: Builder, which: str, layout: Layout) -> Value:
    x = b.input(4, 6, 5) if layout is FIRST else b.input(6, 5, 4)
    if which == "conv":
        return b.conv(x, 6, layout=layout, name="layer")
    if which == "grouped conv":
        return b.conv(x, 6, groups=2, layout=layout, name="layer")
    if which == "conv_transpose":
        weight = b.constant(4, 3, 3, 2) if layout is FIRST else b.constant(3, 3, 2, 4)
        return b.add(ConvTranspose((2, 1), ((1, 0), (0, 1)), (1, 1), 2, layout), x, weight, name="layer")
    op = {
        "max_pool": MaxPool((2, 3), (2, 1), ((0, 1), (1, 0)), (1, 1), layout),
        "average_pool": AveragePool((2, 3), (2, 1), ((0, 1), (1, 0)), (1, 1), layout),
        "resize": Resize((7, 4), ResizeMode.BILINEAR, False, layout),
    }[which]
    return b.add(op, x, name="layer")


KINDS = ("conv", "grouped conv", "conv_transpose", "max_pool", "average_pool", "resize")


@pytest.mark.parametrize("which", KINDS)
@pytest.mark.parametrize("layout", Layout)
def test_op_moves_between_transposes(which: str, layout: Layout) -> None:
    b = Builder()
    given = LAST if layout is FIRST else FIRST
    after = fires(assign_layout(layout), b.done(_spatial(b, which, given)))
    before, layer, behind = after.nodes
    assert isinstance(before.op, Transpose) and isinstance(behind.op, Transpose)
    assert (before.op.perm, behind.op.perm) == ((TO_LAST, TO_FIRST) if layout is LAST else (TO_FIRST, TO_LAST))
    assert getattr(layer.op, "layout", None) is layout
    assert (layer.name, layer.source.layer) == ("layer", "layer")


@pytest.mark.parametrize("which", KINDS)
def test_op_that_has_the_layout_stays(which: str) -> None:
    b = Builder()
    leaves_alone(assign_layout(LAST), b.done(b.add(Relu(), _spatial(b, which, LAST))))


def test_a_weight_that_two_layers_share_is_permuted_once() -> None:
    b = Builder()
    weight = b.constant(3, 3, 3, 3, name="shared")
    op = Conv((1, 1), ((1, 1), (1, 1)), (1, 1))
    y = b.add(op, b.add(op, b.input(3, 5, 5), weight), weight)
    after = fires(assign_layout(LAST), b.done(y))
    assert len({id(value.array()) for value in after.constants()}) == 1


def test_weights_are_stored_in_the_order_of_the_layout() -> None:
    """A writer streams them as they lie."""
    b = Builder()
    after = fires(assign_layout(LAST), b.done(b.conv(b.input(3, 5, 5), 4)))
    (weight,) = (value for value in after.constants() if value.name == "conv.weight")
    assert weight.array().shape == (4, 3, 3, 3) and weight.array().flags.c_contiguous
    np.testing.assert_array_equal(weight.array(), np.moveaxis(b.graph.nodes[0].inputs[1].array(), 1, -1))


def test_a_computed_weight_is_transposed_where_the_model_runs() -> None:
    b = Builder()
    weight = b.graph.add_input("w", b.constant(4, 3, 3, 3).type)
    y = b.add(Conv((1, 1), NONE, (1, 1)), b.input(3, 5, 5), weight)
    assert count(fires(assign_layout(LAST), b.done(y)), Transpose) == 3


def test_three_spatial_axes_move_as_two_do() -> None:
    b = Builder()
    y = b.add(MaxPool((2, 2, 2), (2, 2, 2), ((0, 0),) * 3, (1, 1, 1)), b.input(3, 4, 4, 6))
    assert labels(fires(assign_layout(LAST), b.done(y))) == ["transpose", "max_pool3d", "transpose"]
