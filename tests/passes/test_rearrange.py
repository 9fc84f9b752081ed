"""Chains of reshapes and transposes as one: what they come to, and that the numbers stay."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from passes.build import BATCH, Builder, count, fires, labels, leaves_alone

from triport.exporter.graph import Graph
from triport.exporter.graph.verify import verify
from triport.exporter.ops import Linear, Relu, Reshape, Transpose
from triport.exporter.passes.cancel_transposes import cancel_transposes
from triport.exporter.passes.rearrange import Rearrangement
from triport.exporter.passes.simplify_reshape import simplify_reshape
from triport.exporter.reference import run_graph

Step = tuple[int, ...]


@st.composite
def chains(draw: st.DrawFn) -> tuple[Step, list[tuple[str, Step]]]:
    """A shape, and steps from there: ("transpose", perm) or ("reshape", shape)."""
    shape: Step = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=4)))
    start: Step = shape
    steps: list[tuple[str, Step]] = []
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            perm = tuple(draw(st.permutations(range(len(shape)))))
            steps.append(("transpose", perm))
            shape = tuple(shape[axis] for axis in perm)
        else:
            left = math.prod(shape)
            sizes: list[int] = []
            while left > 1 and len(sizes) < 3:
                sizes.append(draw(st.sampled_from([n for n in range(1, left + 1) if left % n == 0])))
                left //= sizes[-1]
            shape = (*sizes, left)
            steps.append(("reshape", shape))
    return start, steps


@given(chains())
def test_a_chain_built_as_one_moves_every_cell_to_the_same_place(chain: tuple[Step, list[tuple[str, Step]]]) -> None:
    start, steps = chain
    array = np.arange(math.prod(start), dtype=np.float32).reshape(start)
    expected, whole = array, Rearrangement.start(start)
    for kind, step in steps:
        expected = expected.transpose(step) if kind == "transpose" else expected.reshape(step)
        following = whole.transposed(step) if kind == "transpose" else whole.reshaped(step)
        if following is None:
            return  # axes that cut across one another
        whole = following
    graph = Graph()
    x = graph.add_input("x", Builder().constant(*start).type)
    last = graph.add(Relu(), x, name="last").producer
    assert last is not None
    graph.set_output("y", graph.add(Relu(), whole.build(graph, x, last)))
    graph.remove(last)
    verify(graph)
    np.testing.assert_array_equal(run_graph(graph, {"x": array})["y"], expected)
    assert count(graph, Transpose) == (0 if whole.is_reshape else 1)
    first = whole.as_reshape_first()
    if first is not None:
        cut = [n for n in first[0] if isinstance(n, int)]
        np.testing.assert_array_equal(array.reshape(cut).transpose(first[1]), expected)


def test_axes_that_cut_across_one_another_make_no_chain() -> None:
    assert Rearrangement.start((4, 6)).reshaped((6, 4)) is None
    assert Rearrangement.start((4, 0)).reshaped((0,)) is None
    b = Builder()
    turned = b.add(Reshape((BATCH, 6, 4)), b.add(Transpose((0, 2, 1)), b.input(6, 4)))
    leaves_alone(cancel_transposes, b.done(b.add(Transpose((0, 2, 1)), turned)))


def test_patches_of_a_map_are_cut_out_by_one_transpose() -> None:
    """[N, H, W, C] → [N, C, H, W] → patches of 2 by 2 → their cells first: as MobileViT writes it."""
    b = Builder()
    y = b.add(Transpose((0, 3, 1, 2)), b.input(6, 4, 5))
    y = b.add(Transpose((0, 2, 1, 3)), b.add(Reshape((BATCH * 15, 2, 2, 2)), y))
    y = b.add(Transpose((0, 3, 2, 1)), b.add(Reshape((BATCH, 5, 6, 4)), y))
    after = fires(cancel_transposes, b.done(b.add(Reshape((BATCH * 4, 6, 5)), y)))
    assert labels(after) == ["reshape", "transpose", "reshape", "reshape"]


def test_a_chain_that_moves_nothing_is_a_reshape() -> None:
    b = Builder()
    y = b.add(Transpose((0, 2, 1, 3)), b.add(Reshape((BATCH, 2, 3, 4)), b.input(6, 4)))
    y = b.add(Transpose((0, 2, 1)), b.add(Reshape((BATCH, 3, 8)), y))
    y = b.add(Transpose((0, 2, 3, 1)), b.add(Reshape((BATCH, 2, 4, 3)), y))
    after = fires(cancel_transposes, b.done(b.add(Transpose((0, 3, 2, 1)), y)))
    assert labels(after) == ["reshape"]


def test_a_transpose_that_others_read_ends_the_chain() -> None:
    b = Builder()
    first = b.add(Transpose((0, 2, 1)), b.add(Reshape((BATCH, 4, 6)), b.input(2, 2, 6)))
    cut = b.add(Reshape((BATCH, 2, 3, 2, 2)), first)
    leaves_alone(cancel_transposes, b.done(b.add(Transpose((0, 2, 1, 4, 3)), cut), first))


def test_a_transpose_of_more_axes_than_ports_take_is_not_made() -> None:
    b = Builder()
    y = b.add(Transpose((0, 5, 4, 3, 2, 1)), b.input(4, 4, 4, 4, 4))
    y = b.add(Transpose((0, 2, 1, 3)), b.add(Reshape((BATCH, 64, 2, 8)), y))
    leaves_alone(cancel_transposes, b.done(y))


def test_a_linear_layer_between_two_reshapes_needs_but_the_first() -> None:
    b = Builder()
    rows = b.linear(b.add(Reshape((BATCH * 5, 12)), b.input(5, 3, 4)), 6)
    after = fires(simplify_reshape, b.done(b.add(Reshape((BATCH, 5, 6)), rows)))
    assert [node.op for node in after.nodes] == [Reshape((BATCH, 5, 12)), Linear()]

    b = Builder()
    rows = b.linear(b.add(Reshape((BATCH * 5, 12)), b.input(5, 3, 4)), 6)
    leaves_alone(simplify_reshape, b.done(b.add(Reshape((BATCH, 5, 3, 2)), rows)))  # it cuts what the layer made

    b = Builder()
    rows = b.linear(b.add(Reshape((BATCH * 5, 12)), b.input(5, 3, 4)), 6)
    leaves_alone(simplify_reshape, b.done(b.add(Reshape((BATCH, 5, 6)), rows), rows))  # others read the rows
