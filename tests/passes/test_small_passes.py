"""Dead code, equal constants, reshapes, output names."""

from __future__ import annotations

import numpy as np
import pytest
from passes.build import BATCH, Builder, assert_same_numbers, count, fires, labels, leaves_alone

from triport.exporter.graph import Quantization
from triport.exporter.graph.verify import verify
from triport.exporter.ops import (
    Add,
    Cast,
    Clamp,
    Concat,
    Dequantize,
    Identity,
    Mul,
    ReduceMean,
    Relu,
    Reshape,
    Softmax,
    Sub,
    Tanh,
)
from triport.exporter.passes.dead_code import remove_dead_code
from triport.exporter.passes.merge_constants import HASHED_BYTES, merge_constants
from triport.exporter.passes.name_outputs import name_outputs
from triport.exporter.passes.simplify_reshape import simplify_reshape

# -- dead code ---------------------------------------------------------------------------------------------------------


def test_nodes_that_no_output_needs_are_removed() -> None:
    b = Builder()
    x = b.input(4)
    b.add(Tanh(), b.add(Relu(), x))
    after = fires(remove_dead_code, b.done(b.add(Relu(), x)))
    assert labels(after) == ["relu"]


def test_an_input_that_nobody_reads_stays() -> None:
    """A model's signature is the user's: no pass takes an input away."""
    b = Builder()
    x = b.input(4)
    b.input(4, name="unused")
    leaves_alone(remove_dead_code, b.done(b.add(Relu(), x)))
    assert [value.name for value in b.graph.inputs] == ["x", "unused"]


# -- equal constants ---------------------------------------------------------------------------------------------------


def test_constants_of_equal_content_become_one_and_the_shortest_name_stays() -> None:
    b = Builder()
    two, deux = (b.graph.add_constant(np.full((4,), 2, np.float32), name) for name in ("second", "two"))
    after = fires(merge_constants, b.done(b.add(Mul(), b.add(Add(), b.input(4), two), deux)))
    assert [value.name for value in after.constants()] == ["two"]


def test_large_constants_that_differ_late_stay_apart() -> None:
    b = Builder()
    array = np.zeros(HASHED_BYTES // 4 + 8, np.float32)
    other = array.copy()
    other[-1] = 1
    x = b.input(array.size)
    y = b.add(Add(), b.add(Add(), x, b.graph.add_constant(array)), b.graph.add_constant(other))
    leaves_alone(merge_constants, b.done(y))


def test_zero_and_minus_zero_stay_apart_and_nan_equals_itself() -> None:
    b = Builder()
    values = [b.graph.add_constant(np.array([x], np.float32)) for x in (0.0, -0.0, np.nan, np.nan)]
    x = b.input(4)
    for value in values:
        x = b.add(Add(), x, value)
    after = b.done(x).copy()
    assert merge_constants(after)
    verify(after)
    assert len(after.constants()) == 3


def test_same_bytes_of_another_dtype_or_shape_stay_apart() -> None:
    b = Builder()
    number = b.graph.add_constant(np.zeros((1,), np.int32))
    row = b.graph.add_constant(np.zeros((1, 1), np.float32))
    one = b.graph.add_constant(np.zeros((1,), np.float32))
    x = b.add(Add(), b.add(Add(), b.input(4), row), one)
    leaves_alone(merge_constants, b.done(x, b.add(Add(), b.add(Cast(number.type.dtype), x), number)))


def test_constants_that_are_quantized_differently_stay_apart() -> None:
    b = Builder()
    reals = []
    for codes in (Quantization(0.5, 0), Quantization(0.25, 0)):
        constant = b.graph.add_constant(np.ones((4,), np.int8), quantization=codes)
        reals.append(b.add(Dequantize(codes), constant))
    leaves_alone(merge_constants, b.done(b.add(Add(), b.add(Add(), b.input(4), reals[0]), reals[1])))


# -- reshapes ----------------------------------------------------------------------------------------------------------


def test_reshapes_in_a_row_are_one_and_those_that_do_nothing_none() -> None:
    b = Builder()
    x = b.input(2, 6)
    for shape in ((12,), (3, 4), (4, 3)):
        x = b.add(Reshape((BATCH, *shape)), x)
    assert labels(fires(simplify_reshape, b.done(x))) == ["reshape"]

    b = Builder()
    x = b.input(2, 6)
    back = b.add(Reshape((BATCH, 2, 6)), b.add(Reshape((BATCH, 12)), x))
    assert labels(fires(simplify_reshape, b.done(b.add(Relu(), back)))) == ["relu"]


def test_reshapes_wait_until_after_cellwise_ops() -> None:
    b = Builder()
    x = b.add(Reshape((BATCH, 12)), b.input(2, 6))
    y = b.add(Clamp(0.0, 2.0), b.add(Mul(), 0.5, b.add(Relu(), x)))
    after = fires(simplify_reshape, b.done(b.add(Reshape((BATCH, 2, 6)), y)))
    assert labels(after) == ["relu", "mul", "clamp"]


def test_reshapes_of_two_operands_from_one_shape_wait() -> None:
    b = Builder()
    x = b.input(2, 6)
    flat, again = (b.add(Reshape((BATCH, 12)), v) for v in (x, b.add(Relu(), x)))
    assert labels(fires(simplify_reshape, b.done(b.add(Sub(), flat, again)))) == ["relu", "sub", "reshape"]


def test_reshapes_from_other_shapes_and_before_other_ops_stay() -> None:
    b = Builder()
    x, z = b.input(2, 6), b.input(3, 4, name="z")
    flat, other = (b.add(Reshape((BATCH, 12)), v) for v in (x, z))
    row = b.add(Mul(), flat, b.constant(12))
    leaves_alone(
        simplify_reshape, b.done(b.add(Sub(), flat, other), row, b.add(Softmax(1), flat), b.add(Concat(1), flat, other))
    )


@pytest.mark.parametrize("shape", [(4,), (1, 4)])
def test_a_reduction_lets_its_axes_go_itself(shape: tuple[int, ...]) -> None:
    b = Builder()
    pooled = b.add(ReduceMean((1, 2), True), b.input(5, 6, 4), name="pool")
    graph = b.done(b.add(Reshape((BATCH, *shape)), pooled))
    if shape == (4,):
        after = fires(simplify_reshape, graph)
        assert [(node.name, node.op) for node in after.nodes] == [("pool", ReduceMean((1, 2), False))]
    else:
        leaves_alone(simplify_reshape, graph)


def test_a_reduction_that_others_read_too_keeps_its_axes() -> None:
    b = Builder()
    pooled = b.add(ReduceMean((1, 2), True), b.input(5, 6, 4))
    leaves_alone(simplify_reshape, b.done(b.add(Reshape((BATCH, 4)), pooled), b.add(Relu(), pooled)))


# -- output names ------------------------------------------------------------------------------------------------------


def test_outputs_get_nodes_under_their_own_names() -> None:
    b = Builder()
    x = b.input(4)
    y = b.add(Relu(), x)
    b.graph.set_output("same", y)
    b.graph.set_output("again", y)
    b.graph.set_output("given", x)
    b.graph.set_output("fixed", b.constant(3))
    after = fires(name_outputs, b.done())
    assert {name: value.name for name, value in after.outputs.items()} == {
        name: name for name in ("same", "again", "given", "fixed")
    }
    assert count(after, Identity) == 3


def test_outputs_that_swap_names_are_told_apart() -> None:
    b = Builder()
    x = b.input(4)
    left, right = b.add(Relu(), x), b.add(Tanh(), x)
    b.graph.rename(left, "right")
    b.graph.rename(right, "left")
    b.graph.set_output("left", left)
    b.graph.set_output("right", right)
    after = b.graph.copy()
    assert name_outputs(after)
    verify(after)
    assert_same_numbers(b.graph, after)
    assert [(name, value.name) for name, value in after.outputs.items()] == [("left", "left"), ("right", "right")]


def test_outputs_that_have_their_names_stay() -> None:
    b = Builder()
    y = b.add(Relu(), b.input(4))
    b.graph.rename(y, "y")
    leaves_alone(name_outputs, b.done(y))
