from __future__ import annotations

import numpy as np
import pytest

from triport.exporter.errors import UsageError
from triport.exporter.graph import DType, Graph, Recipe, Sample, Sym, TensorType
from triport.exporter.graph.conditions import Condition, conditions_of, record_conditions
from triport.exporter.graph.limits import Limit, limits_of, record_limits
from triport.exporter.graph.verify import verify
from triport.exporter.ops import Linear, Relu, Reshape
from triport.exporter.passes.fix_sizes import fix_sizes
from triport.exporter.reference import run_graph

BATCH, LENGTH = Sym.named("batch"), Sym.named("length")


def rows() -> Graph:
    """[batch, length, 4] → [batch*length, 4] → linear → [batch, length*3]"""
    graph = Graph("rows")
    x = graph.add_input("x", TensorType(DType.FLOAT32, (BATCH, LENGTH, 4)))
    flat = graph.add(Reshape((BATCH * LENGTH, 4)), x)
    weights = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    y = graph.add(Linear(), flat, graph.add_constant(weights))
    graph.set_output("y", graph.add(Relu(), graph.add(Reshape((BATCH, LENGTH * 3)), y)))
    return graph


def test_a_fixed_dim_is_gone_from_every_shape_and_attribute() -> None:
    graph = rows()
    fixed = fix_sizes(graph, {"batch": 1})
    verify(fixed)
    assert fixed.inputs[0].type.shape == (1, LENGTH, 4)
    assert fixed.outputs["y"].type.shape == (1, LENGTH * 3)
    assert [node.op.shape for node in fixed.nodes if isinstance(node.op, Reshape)] == [(LENGTH, 4), (1, LENGTH * 3)]
    assert fixed.free_names() == ("length",)
    assert graph.free_names() == ("batch", "length")
    x = {"x": np.random.default_rng(1).standard_normal((1, 5, 4)).astype(np.float32)}
    np.testing.assert_array_equal(run_graph(fixed, x)["y"], run_graph(graph, x)["y"])


def test_samples_stay_as_their_first_rows_where_that_fits() -> None:
    graph = rows()
    x = np.ones((2, 5, 4), np.float32)
    recipe = Recipe(DType.FLOAT32, (3, 5, 4), 7, -1.0, 1.0)
    made = Sample({}, {"y": np.arange(45, dtype=np.float32).reshape(3, 15)}, {"x": recipe})
    graph.samples = [Sample({"x": x}, {"y": np.ones((2, 15), np.float32)}), made]
    one = fix_sizes(graph, {"batch": 1})
    assert [sample.inputs["x"].shape for sample in one.samples] == [(1, 5, 4), (1, 5, 4)]
    assert [sample.outputs["y"].shape for sample in one.samples] == [(1, 15), (1, 15)]
    np.testing.assert_array_equal(one.samples[1].inputs["x"], made.inputs["x"][:1])
    assert fix_sizes(graph, {"length": 4}).samples == []


def test_limits_and_conditions_of_fixed_dims_are_settled() -> None:
    graph = rows()
    record_limits(graph, {"batch": Limit(1, 8), "length": Limit(2)})
    record_conditions(graph, [Condition(BATCH, "<=", LENGTH, "batch is at most length")])
    fixed = fix_sizes(graph, {"batch": 2})
    assert limits_of(fixed) == {"length": Limit(2)}
    assert [str(condition.left) for condition in conditions_of(fixed)] == ["2"]
    assert conditions_of(fix_sizes(graph, {"batch": 2, "length": 2})) == []
    with pytest.raises(UsageError, match="TP002"):
        fix_sizes(graph, {"batch": 9})
    with pytest.raises(UsageError, match="at most length"):
        fix_sizes(graph, {"batch": 4, "length": 3})


def test_only_free_dims_can_be_fixed() -> None:
    with pytest.raises(UsageError, match='no free dim "time"'):
        fix_sizes(rows(), {"time": 1})
    with pytest.raises(UsageError, match="cannot be 0"):
        fix_sizes(rows(), {"batch": 0})
