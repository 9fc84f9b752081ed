"""A graph runs by itself, in torch."""

from __future__ import annotations

import numpy as np
import pytest

from triport.exporter.errors import UsageError
from triport.exporter.graph import DType, Graph, Sym, TensorType
from triport.exporter.ops import Relu


def test_a_graph_answers_for_named_arrays() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType(DType.FLOAT32, (Sym.named("batch"), 2)))
    graph.set_output("y", graph.add(Relu(), x))
    np.testing.assert_array_equal(graph.run({"x": np.array([[-1, 2]], np.float32)})["y"], [[0, 2]])
    with pytest.raises(UsageError, match=r"float32\[batch, 2\]"):
        graph.run({"x": np.zeros((1, 3), np.float32)})
