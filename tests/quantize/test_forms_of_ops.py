"""The form of each op on codes, and the reason of each that has none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_graphs import BATCH

from triport.exporter.graph import Dim, DType, Graph, Node, Sym, TensorType
from triport.exporter.ops import (
    Add,
    AveragePool,
    BatchNorm,
    Cast,
    Clamp,
    Concat,
    Conv,
    ConvTranspose,
    Div,
    Exp,
    Expand,
    Gather,
    HardSwish,
    LayerNorm,
    Linear,
    MatMul,
    Maximum,
    MaxPool,
    Mul,
    Pad,
    ReduceMean,
    ReduceSum,
    Reshape,
    Sigmoid,
    Slice,
    Softmax,
    Sub,
    Transpose,
)
from triport.quantize.forms import Form, decide, own_decision

IMAGE: tuple[Dim, ...] = (BATCH, 3, 8, 8)
ROWS: tuple[Dim, ...] = (BATCH, 6)
NONE = ((0, 0), (0, 0))
ONE = ((1, 1), (1, 1))
LENGTH = Sym.named("length")


def node(op: Any, *operands: Any) -> Node:
    """A node of the op; a shape is an activation, an array a constant."""
    graph = Graph("one")
    values = [
        graph.add_constant(operand)
        if isinstance(operand, np.ndarray)
        else graph.add_input(f"x{i}", TensorType(DType.FLOAT32, operand))
        for i, operand in enumerate(operands)
    ]
    return graph.add_node(op, values)


def ones(*shape: int) -> Any:
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(
    ("form", "op", "operands"),
    [
        (Form.INTEGER, Conv((1, 1), NONE, (1, 1)), (IMAGE, ones(4, 3, 3, 3), ones(4))),
        (Form.INTEGER, Conv((1,), ((0, 0),), (1,)), ((BATCH, 3, LENGTH), ones(4, 3, 3), ones(4))),
        (Form.INTEGER, Linear(), (ROWS, ones(5, 6), ones(5))),
        (Form.INTEGER, MatMul(True), (ROWS, ROWS)),
        (Form.INTEGER, Softmax(1), (ROWS,)),
        (Form.INTEGER, Add(), (IMAGE, IMAGE)),
        (Form.INTEGER, Sub(), (IMAGE, ones(3, 1, 1))),
        (Form.INTEGER, Mul(), (IMAGE, (BATCH, 3, 1, 1))),
        (Form.INTEGER, AveragePool((2, 2), (2, 2), NONE, (1, 1)), (IMAGE,)),
        (Form.INTEGER, ReduceMean((2, 3), False), (IMAGE,)),
        (Form.INTEGER, BatchNorm(1e-3, 1), (IMAGE, ones(3), ones(3), ones(3), ones(3))),
        (Form.MOVES, Reshape((BATCH, 192)), (IMAGE,)),
        (Form.MOVES, Transpose((0, 2, 3, 1)), (IMAGE,)),
        (Form.MOVES, Slice((1,), (0,), (2,), (1,)), (IMAGE,)),
        (Form.MOVES, Concat(1), (IMAGE, IMAGE)),
        (Form.MOVES, MaxPool((2, 2), (2, 2), NONE, (1, 1)), (IMAGE,)),
        (Form.MOVES, Expand((BATCH, 3, 8, 8)), ((BATCH, 3, 1, 1),)),
        (Form.MOVES, Gather(1), (IMAGE, np.array([0, 2], np.int64))),
        (Form.TABLE, Sigmoid(), (IMAGE,)),
        (Form.TABLE, HardSwish(), (IMAGE,)),
        (Form.TABLE, Exp(), (IMAGE,)),
        (Form.TABLE, Clamp(0.0, 1.0), (IMAGE,)),
        (Form.TABLE, Mul(), (IMAGE, ones(1))),
        (Form.TABLE, Div(), (ones(1), IMAGE)),
        (Form.EXACT, LayerNorm(1, 1e-5), ((BATCH, 1040), ones(1040), ones(1040))),
    ],
)
def test_what_has_a_form_on_codes(form: Form, op: Any, operands: tuple[Any, ...]) -> None:
    made = node(op, *operands)
    assert own_decision(made).form is form
    assert own_decision(made).reason == ""


@pytest.mark.parametrize(
    ("reason", "op", "operands"),
    [
        ("its weight is computed", Conv((1, 1), NONE, (1, 1)), (IMAGE, (4, 3, 3, 3), ones(4))),
        (
            "two spatial axes at most",
            Conv((1,) * 3, ((0, 0),) * 3, (1,) * 3),
            ((BATCH, 3, 8, 8, 8), ones(4, 3, 3, 3, 3)),
        ),
        ("two spatial axes at most", AveragePool((2,) * 3, (2,) * 3, ((0, 0),) * 3, (1,) * 3), ((BATCH, 3, 8, 8, 8),)),
        ("one operand is constant", MatMul(True), (ROWS, ones(5, 6))),
        ("exactly", MatMul(True), ((BATCH, LENGTH), (BATCH, LENGTH))),
        ("a quotient of two tensors", Div(), (IMAGE, IMAGE)),
        ("left out of the mean", AveragePool((3, 3), (1, 1), ONE, (1, 1), count_include_pad=False), (IMAGE,)),
        ("over a free size", ReduceMean((2,), False), ((BATCH, 3, LENGTH),)),
        ("over one or two axes that leave two", ReduceMean((1, 2, 3), False), (IMAGE,)),
        ("images and sequences alone", BatchNorm(1e-3, 1), (ROWS, ones(6), ones(6), ones(6), ones(6))),
        ("up to 1040 cells", LayerNorm(1, 1e-5), ((BATCH, 1041), ones(1041), ones(1041))),
        ("dilation", ConvTranspose((1, 1), NONE, (2, 2)), (IMAGE, ones(3, 4, 3, 3), ones(4))),
        ("reduce_sum has no form", ReduceSum((1,), False), (IMAGE,)),
        ("maximum has no form", Maximum(), (IMAGE, IMAGE)),
        ("cast has no form", Cast(DType.INT32), (IMAGE,)),
    ],
)
def test_what_has_none_says_why(reason: str, op: Any, operands: tuple[Any, ...]) -> None:
    decision = own_decision(node(op, *operands))
    assert decision.form is Form.FLOAT
    assert reason in decision.reason


def test_moves_and_functions_follow_what_they_read() -> None:
    graph = Graph("follows")
    x = graph.add_input("x", TensorType(DType.FLOAT32, IMAGE))
    y = graph.add(Reshape((BATCH, 192)), graph.add(Sigmoid(), x, name="sigmoid"), name="reshape")
    y = graph.add(Linear(), y, graph.add_constant(ones(6, 192)), name="linear")
    graph.set_output("y", graph.add(Sigmoid(), graph.add(Pad((0, 1), (0, 1)), y, name="pad"), name="last"))
    before = {node.name: decision for node, decision in decide(graph).items()}
    assert [d.form for d in before.values()] == [Form.FLOAT, Form.FLOAT, Form.INTEGER, Form.MOVES, Form.TABLE]
    assert before["reshape"].reason == "what it reads is float"
    coded = [d.form for d in decide(graph, coded_inputs=True).values()]
    assert coded == [Form.TABLE, Form.MOVES, Form.INTEGER, Form.MOVES, Form.TABLE]
    kept = {node.name: d.form for node, d in decide(graph, ["linear"]).items()}
    assert set(kept.values()) == {Form.FLOAT}
