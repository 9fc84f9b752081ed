"""A graph runs by itself, in torch."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from triport.exporter.errors import ModelError, UsageError
from triport.exporter.graph import DType, Graph, Sym, TensorType
from triport.exporter.ops import ArgMax, ArgMin, Cast, Conv, Gather, MatMul, MaxPool, OpAttrs, Relu, TakeAlong
from triport.exporter.reference import run_graph


def test_a_graph_answers_for_named_arrays() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType(DType.FLOAT32, (Sym.named("batch"), 2)))
    graph.set_output("y", graph.add(Relu(), x))
    np.testing.assert_array_equal(graph.run({"x": np.array([[-1, 2]], np.float32)})["y"], [[0, 2]])
    with pytest.raises(UsageError, match=r"float32\[batch, 2\]"):
        graph.run({"x": np.zeros((1, 3), np.float32)})


@pytest.mark.parametrize(
    ("given", "said", "help"),
    [
        ([np.zeros((1, 2), np.float32)], "inputs are arrays by name, got a list", r"x float32\[batch, 2\]"),
        ({"x": torch.zeros(1, 2)}, r"expected a numpy array float32\[batch, 2\], got a Tensor", r"pass x\.numpy\(\)"),
        ({"x": [[1.0, 2.0]]}, "got a list", r'np\.asarray\(x, "float32"\)'),
    ],
)
def test_what_is_no_named_array_is_refused(given: Any, said: str, help: str) -> None:
    graph = Graph()
    graph.set_output("y", graph.add_input("x", TensorType(DType.FLOAT32, (Sym.named("batch"), 2))))
    with pytest.raises(UsageError, match=said) as refused:
        graph.run(given)
    assert re.search(help, str(refused.value.help))


def test_a_judge_in_float64_computes_what_a_cast_makes_in_float64_too() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType(DType.INT32, (2, 2)))
    w = graph.add_input("w", TensorType(DType.FLOAT32, (2, 2)))
    graph.set_output("y", graph.add(MatMul(), graph.add(Cast(DType.FLOAT32), x), w))
    arrays = {"x": np.eye(2, dtype=np.int32), "w": np.full((2, 2), 0.5, np.float32)}
    assert run_graph(graph, arrays, dtype=DType.FLOAT64)["y"].dtype == np.float64
    assert run_graph(graph, arrays)["y"].dtype == np.float32


@pytest.mark.parametrize(
    ("op", "indices", "said"),
    [
        (Gather(0), [[4, 9, 1]], 'gather "rows": index 9 is out of range for 5 cells'),
        (TakeAlong(0), [[-1, 0]], 'take_along "rows": index -1 is out of range for 5 cells'),
    ],
)
def test_a_number_beyond_a_table_is_named(op: OpAttrs, indices: list[list[int]], said: str) -> None:
    graph = Graph()
    table = graph.add_input("table", TensorType(DType.FLOAT32, (5, 2)))
    numbers = graph.add_input("numbers", TensorType(DType.INT64, (1, len(indices[0]))))
    graph.set_output("y", graph.add_node(op, [table, numbers], name="rows").outputs[0])
    with pytest.raises(UsageError, match=said) as refused:
        graph.run({"table": np.zeros((5, 2), np.float32), "numbers": np.array(indices)})
    assert refused.value.help == "pass numbers from 0 to 4"


@pytest.mark.parametrize("op", [ArgMax(1, keepdims=False), ArgMin(1, keepdims=False)], ids=["largest", "smallest"])
def test_the_place_of_the_largest_and_smallest_is_that_of_nan_where_there_is_one(op: ArgMax | ArgMin) -> None:
    graph = Graph()
    graph.set_output("y", graph.add(op, graph.add_input("x", TensorType(DType.FLOAT32, (2, 4)))))
    x = np.array([[1, np.nan, 3, np.nan], [0, 2, 2, 0]], np.float32)
    ours = (torch.argmax if isinstance(op, ArgMax) else torch.argmin)(torch.from_numpy(x), 1)
    assert graph.run({"x": x})["y"][0] == 1 == ours[0]


@pytest.mark.parametrize("op", [Conv((1,), ((-1, 0),), (1,)), MaxPool((2,), (1,), ((0, -1),), (1,))])
def test_padding_takes_nothing_away(op: OpAttrs) -> None:
    graph = Graph()
    operands = [graph.add_input("x", TensorType(DType.FLOAT32, (1, 2, 8)))]
    operands += [graph.add_constant(np.ones((3, 2, 2), np.float32))] * isinstance(op, Conv)
    with pytest.raises(ModelError, match=r"padding has to be 0 or more, got \(\("):
        graph.add(op, *operands)
