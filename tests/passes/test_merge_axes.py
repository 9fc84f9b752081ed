"""Axes that an op treats alike become one where the target's kernel has fewer."""

from __future__ import annotations

import pytest
from passes.build import Builder, assert_same_numbers, fires, labels, leaves_alone

from triport.exporter.graph import DType, Graph, Node, Value
from triport.exporter.ops import (
    Add,
    BorderMode,
    BorderPad,
    Expand,
    Layout,
    Less,
    Mul,
    OpAttrs,
    Pad,
    Pow,
    Relu,
    Reshape,
    Reverse,
    Slice,
    Transpose,
    Where,
)
from triport.exporter.passes.base import Spells
from triport.exporter.passes.merge_axes import merge_axes
from triport.exporter.passes.pipeline import passes_for


def at_most(rank: int) -> Spells:
    """A target that writes everything with as many axes, and reshapes of any number."""

    def spells(node: Node) -> bool:
        return isinstance(node.op, Reshape) or max(v.type.rank for v in (*node.inputs, *node.outputs)) <= rank

    return spells


def x_of(b: Builder) -> Value:
    return b.input(2, 3, 4, 5)


ONE_OPERAND: dict[str, tuple[OpAttrs, int]] = {
    "pad": (Pad((0, 0, 0, 1, 0), (0, 0, 0, 2, 0)), 3),
    "border_pad": (BorderPad((0, 0, 2, 0, 0), (0, 0, 1, 0, 0), BorderMode.REFLECT), 3),
    "slice": (Slice((1,), (1,), (2,), (1,)), 3),
    "slice of two axes": (Slice((2, 3), (1, 0), (3, 3), (1, 2)), 4),
    "reverse": (Reverse((4,)), 2),
    "transpose": (Transpose((3, 4, 0, 1, 2)), 2),
    "transpose of pairs": (Transpose((0, 3, 4, 1, 2)), 3),
}


@pytest.mark.parametrize("name", ONE_OPERAND)
def test_an_op_of_one_operand_with_fewer_axes(name: str) -> None:
    op, rank = ONE_OPERAND[name]
    b = Builder()
    after = fires(merge_axes(at_most(rank)), b.done(b.add(op, x_of(b), name="layer")))
    assert labels(after) == ["reshape", op.name, "reshape"] and after.nodes[-1].name == "layer"
    leaves_alone(merge_axes(at_most(rank - 1)), _again(op))


def _again(op: OpAttrs) -> Graph:
    b = Builder()
    return b.done(b.add(op, x_of(b), name="layer"))


BROADCAST = {
    "number": ((), 1),
    "same": ((2, 3, 4, 5), 2),
    "channels": ((2, 1, 1, 1), 3),
    "last axes": ((4, 5), 2),
    "middle": ((3, 4, 1), 3),
    "alternating": ((1, 3, 1, 5), 4),
}


@pytest.mark.parametrize("name", BROADCAST)
def test_operands_that_broadcast(name: str) -> None:
    shape, rank = BROADCAST[name]
    b = Builder()
    constant = b.constant(*shape) if shape else b.graph.add_constant(b.random.uniform(size=()).astype("f"))
    graph = b.done(b.add(Mul(), x_of(b), constant, name="layer"))
    before = graph.copy()
    assert merge_axes(at_most(rank))(graph)
    assert_same_numbers(before, graph)
    leaves_alone(merge_axes(at_most(rank - 1)), before)


def test_a_choice_merges_all_three() -> None:
    b = Builder()
    x = x_of(b)
    condition = b.add(Less(), x, b.constant(2, 3, 1, 1))
    graph = b.done(b.add(Where(), condition, x, b.constant(2, 1, 1, 1), name="layer"))
    before = graph.copy()
    assert merge_axes(at_most(4))(graph)
    assert_same_numbers(before, graph)


def test_expand_merges_what_it_repeats() -> None:
    b = Builder()
    x = b.graph.add_constant(b.random.uniform(size=(3, 1, 1)).astype("f"))
    y = b.add(Expand((2, 3, 4, 5)), x)
    graph = b.done(b.add(Add(), b.input(2, 3, 4, 5), y))
    before = graph.copy()
    assert merge_axes(lambda node: not isinstance(node.op, Expand) or node.output.type.rank <= 3)(graph)
    assert_same_numbers(before, graph)


def test_what_the_target_writes_stays() -> None:
    b = Builder()
    leaves_alone(merge_axes(at_most(5)), b.done(b.add(Pow(), x_of(b), 2.0)))


def test_ops_of_another_kind_stay() -> None:
    b = Builder()
    leaves_alone(merge_axes(at_most(1)), b.done(b.add(Relu(), x_of(b))))


def test_simplified_reshapes_do_not_bring_the_axes_back() -> None:
    """A reshape waits until after cellwise ops; that of an op that needs it comes back in the end."""
    b = Builder(DType.FLOAT32)
    graph = b.done(b.add(Pow(), b.add(Relu(), x_of(b)), 3.0))
    before = graph.copy()
    for apply in passes_for(layout=Layout.CHANNELS_LAST, fuses={}, lifts_1d=False, spells=_pow_of_one_axis):
        apply(graph)
    assert labels(graph) == ["relu", "reshape", "pow", "reshape"]
    assert_same_numbers(before, graph)


def _pow_of_one_axis(node: Node) -> bool:
    return not isinstance(node.op, Pow) or node.output.type.rank == 1
