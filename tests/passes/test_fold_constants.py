from __future__ import annotations

import math

import numpy as np
import pytest
from passes.build import BATCH, Builder, fires, labels, leaves_alone

from triport.exporter.graph import Array, DType, Graph, TensorType
from triport.exporter.ops import (
    Abs,
    Activation,
    Add,
    Cast,
    Clamp,
    Concat,
    Div,
    Equal,
    Exp,
    Gather,
    Greater,
    GreaterEqual,
    Identity,
    Less,
    LessEqual,
    Linear,
    LogicalNot,
    Maximum,
    Minimum,
    Mul,
    Neg,
    NotEqual,
    OpAttrs,
    Pad,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceSum,
    Reshape,
    Rsqrt,
    Slice,
    Sqrt,
    Sub,
    TopK,
    Transpose,
    Where,
)
from triport.exporter.passes.fold_constants import fold_constants

TABLE = np.linspace(-2, 3, 24, dtype=np.float32).reshape(2, 3, 4)
OTHER = np.array([[0.5], [-1.5], [2.0]], np.float32)
INDICES = np.array([[2, 0], [1, 1]], np.int64)

FOLDED: list[tuple[OpAttrs, tuple[Array, ...]]] = [
    *((op, (TABLE, OTHER)) for op in (Add(), Sub(), Mul(), Div(), Maximum(), Minimum())),
    (Add(Activation.RELU), (TABLE, OTHER)),
    (Mul(Activation.RELU6), (TABLE, OTHER)),
    *((op, (TABLE,)) for op in (Neg(), Abs(), Sqrt(), Identity())),
    *((op, (TABLE,)) for op in (ReduceSum((0, 2), True), ReduceSum((1,), False), ReduceMean((2,), False))),
    *((op, (TABLE,)) for op in (ReduceMean((0, 1, 2), False), Clamp(-0.5, 1.0), Clamp(minimum=0.25))),
    *((op, (np.arange(6).reshape(2, 3),)) for op in (ReduceSum((1,), True), Clamp(1, 4))),
    *((op, (TABLE,)) for op in (ReduceMax((0, 2), True), ReduceMin((1,), False))),
    *((op(), (TABLE, OTHER)) for op in (Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual)),
    (LogicalNot(), (TABLE > 0,)),
    (Where(), (TABLE > 0, TABLE, OTHER)),
    (Rsqrt(), (np.abs(TABLE) + 0.5,)),
    (Cast(DType.INT32), (TABLE,)),
    (Transpose((2, 0, 1)), (TABLE,)),
    (Reshape((4, 6)), (TABLE,)),
    (Slice((2, 1), (1, 0), (4, 3), (2, 1)), (TABLE,)),
    (Concat(1), (TABLE, TABLE[:, :1])),
    (Pad((0, 1, 0), (2, 0, 0), -math.inf), (TABLE,)),
    (Gather(1), (TABLE, INDICES)),
]


def _graph(op: OpAttrs, arrays: tuple[Array, ...]) -> Graph:
    b = Builder()
    b.input(4)
    return b.done(b.add(op, *(b.graph.add_constant(array) for array in arrays), name="folded"))


@pytest.mark.parametrize(("op", "arrays"), FOLDED, ids=lambda case: case.name if isinstance(case, OpAttrs) else "")
def test_constant_is_what_the_reference_computes(op: OpAttrs, arrays: tuple[Array, ...]) -> None:
    after = fires(fold_constants, _graph(op, arrays))
    assert after.nodes == ()
    assert after.outputs["y"].name == "folded"
    assert after.outputs["y"].type == _graph(op, arrays).outputs["y"].type


def test_a_whole_chain_is_folded() -> None:
    b = Builder()
    weight = b.add(Mul(), b.add(Transpose((1, 0)), b.constant(4, 3)), 2.0)
    assert labels(fires(fold_constants, b.done(b.add(Add(), b.input(3, 4), weight)))) == ["add"]


@pytest.mark.parametrize("choice", [True, False])
def test_a_choice_that_is_the_same_everywhere_is_none(choice: bool) -> None:
    b = Builder()
    always = b.graph.add_constant(np.full((5, 1), choice))
    x, y = b.add(Exp(), b.input(5, 4)), b.add(Neg(), b.input(5, 4, name="z"))
    after = fires(fold_constants, b.done(b.add(Where(), always, x, y), x, y))
    assert labels(after) == ["exp", "neg"]
    assert after.outputs["y"] is after.outputs["y1" if choice else "y2"]


def test_a_choice_that_depends_or_widens_stays() -> None:
    b = Builder()
    some = b.graph.add_constant(np.array([True, False, True, True]))
    leaves_alone(fold_constants, b.done(b.add(Where(), some, b.input(4), 0.0)))

    b = Builder()
    always = b.graph.add_constant(np.ones((5, 4), np.bool_))
    leaves_alone(fold_constants, b.done(b.add(Where(), always, b.input(1, 4), 0.0)))


def test_sums_are_rounded_once() -> None:
    many = np.full((1, 2**18), 0.1, np.float32)
    total = ReduceSum((1,), False)
    graph = _graph(total, (many,))
    assert fold_constants(graph)
    (value,) = graph.outputs.values()
    assert value.array()[0] == np.float32(2**18 * np.float64(np.float32(0.1)))


def test_weights_that_are_standardised_whenever_the_model_runs_are_constants() -> None:
    b = Builder()
    weight = b.constant(4, 3)
    centred = b.add(Sub(), weight, b.add(ReduceMean((1,), True), weight))
    variance = b.add(ReduceMean((1,), True), b.add(Mul(), centred, centred))
    y = b.add(Linear(), b.input(3), b.add(Mul(), centred, b.add(Rsqrt(), b.add(Add(), variance, 1e-5))))
    assert labels(fires(fold_constants, b.done(y))) == ["linear"]


def _floats(*values: float) -> Array:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("op", "arrays"),
    [
        (Div(), (_floats(1, -1, 0), _floats(0, 0, 0))),
        (Mul(), (_floats(3e38), _floats(10))),
        (Sqrt(), (_floats(-1),)),
    ],
    ids=["division_by_zero", "overflow", "root_of_a_negative_number"],
)
def test_infinities_and_nan_are_folded_without_a_warning(op: OpAttrs, arrays: tuple[Array, ...]) -> None:
    assert fold_constants(_graph(op, arrays))


def test_ops_that_numpy_may_round_otherwise_and_those_on_inputs_stay() -> None:
    b = Builder()
    leaves_alone(fold_constants, b.done(b.add(Add(), b.add(Exp(), b.constant(4)), b.input(4))))


def test_a_constant_that_takes_on_a_free_dim_stays() -> None:
    b = Builder()
    empty = b.add(Reshape((BATCH, 0)), b.graph.add_constant(np.zeros((0, 4), np.float32)))
    leaves_alone(fold_constants, b.done(b.add(Concat(1), b.input(4), empty)))


def test_results_without_cells_are_constants_whatever_they_are_computed_from() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType(DType.FLOAT32, (0, 5)))
    values, positions = graph.add_node(TopK(2, 1), [graph.add(Exp(), x)]).outputs
    graph.set_output("values", values)
    graph.set_output("positions", positions)
    graph = fires(fold_constants, graph)
    assert labels(graph) == []
    assert [(v.is_constant, v.type.dtype, v.type.shape) for v in graph.outputs.values()] == [
        (True, DType.FLOAT32, (0, 2)),
        (True, DType.INT64, (0, 2)),
    ]


def test_a_sum_over_no_cells_has_cells() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType(DType.FLOAT32, (0, 5)))
    graph.set_output("y", graph.add(ReduceSum((0,), False), x))
    leaves_alone(fold_constants, graph)
