"""The verifier: a sound graph passes, and every rule has a graph that breaks it and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from graph.random_graphs import BATCH, graph_of_many_ops, graphs, small_graph
from hypothesis import HealthCheck, given, settings

from triport.exporter.graph import DType, Graph, Node, TensorType, Value
from triport.exporter.graph.verify import InvalidGraph, verify
from triport.exporter.ops import Add, Linear, Relu, Transpose

FLOATS = TensorType(DType.FLOAT32, (BATCH, 4))


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(graphs())
def test_whatever_the_verbs_build_is_sound(graph: Graph) -> None:
    verify(graph)
    verify(graph.copy())


def test_many_ops_are_sound() -> None:
    verify(graph_of_many_ops())


def first(graph: Graph) -> Node:
    return graph.nodes[0]


def _reads_a_stranger(graph: Graph) -> None:
    stranger = Value("stranger", FLOATS)
    graph.set_inputs(first(graph), [stranger, *first(graph).inputs[1:]])


def _reads_another_graph(graph: Graph) -> None:
    graph.set_inputs(first(graph), [small_graph().nodes[0].output, *first(graph).inputs[1:]])


def _waits_for_itself(graph: Graph) -> None:
    graph.set_inputs(first(graph), [graph.nodes[1].output, *first(graph).inputs[1:]])


def _other_type(graph: Graph) -> None:
    first(graph).output.type = FLOATS.with_dtype(DType.FLOAT16)


def _other_operands(graph: Graph) -> None:
    first(graph).op = Add()


def _impossible_attribute(graph: Graph) -> None:
    graph.nodes[1].op = Transpose(("up", "down"))  # type: ignore[arg-type]


def _other_array(graph: Graph) -> None:
    graph.constants()[0].constant = np.zeros((2, 2), np.float32)


def _same_value_name(graph: Graph) -> None:
    first(graph).output.name = "x"


def _same_node_name(graph: Graph) -> None:
    first(graph).name = "second"


def _no_producer(graph: Graph) -> None:
    first(graph).output.producer = None


def _two_origins(graph: Graph) -> None:
    graph.inputs.append(first(graph).output)


def _computed_constant(graph: Graph) -> None:
    graph.constants()[0].producer = first(graph)


def _twice_an_input(graph: Graph) -> None:
    graph.inputs.append(graph.inputs[0])


def _unlisted_user(graph: Graph) -> None:
    graph.inputs[0]._users.clear()


def _user_that_left(graph: Graph) -> None:
    node = graph.add_node(Relu(), [graph.inputs[0]])
    graph._nodes.remove(node)


def _foreign_output(graph: Graph) -> None:
    graph.set_output("more", Value("more", FLOATS))


def _lost_output(graph: Graph) -> None:
    first(graph).outputs = ()


BREAKAGES: list[tuple[Callable[[Graph], None], str]] = [
    (_reads_a_stranger, "reads %stranger, which nothing in the graph computes"),
    (_reads_another_graph, "reads %x, which nothing in the graph computes"),
    (_waits_for_itself, "waits for its own result"),
    (_other_type, r'%first:out is float16\[batch, 4\], but linear "first" gives float32\[batch, 4\]'),
    (_other_operands, 'add "first" does not fit its operands: add: takes a, b'),
    (_impossible_attribute, 'transpose "second" does not fit its operands'),
    (_other_array, "constant %first.weight is float32"),
    (_same_value_name, '2 values are named "x"'),
    (_same_node_name, '2 nodes are named "second"'),
    (_no_producer, '%first:out, an output of linear "first", has another origin'),
    (_two_origins, "input %first:out has another origin"),
    (_computed_constant, 'constant %first.weight is computed by linear "first" as well'),
    (_twice_an_input, "listed twice"),
    (_unlisted_user, r"%x is read by \['first'\], but lists \[\]"),
    (_user_that_left, r"%x is read by \['first'\], but lists \['first', 'relu'\]"),
    (_foreign_output, 'output "more" is %more, which nothing in the graph computes'),
    (_lost_output, "has 0 outputs, its op gives 1"),
]


@pytest.mark.parametrize(("breakage", "words"), BREAKAGES, ids=lambda x: getattr(x, "__name__", ""))
def test_a_broken_rule_is_named(breakage: Callable[[Graph], None], words: str) -> None:
    graph = small_graph()
    breakage(graph)
    with pytest.raises(InvalidGraph, match=words):
        verify(graph)


def test_nodes_added_in_any_order_are_put_into_running_order() -> None:
    graph = Graph()
    x = graph.add_input("x", FLOATS)
    first = graph.add_node(Relu(), [x], name="first")
    second = graph.add_node(Relu(), [x], name="second")
    graph.set_inputs(first, [second.output])
    graph.set_output("y", first.output)
    verify(graph)
    assert [node.name for node in graph.nodes] == ["second", "first"]


def test_one_value_may_be_read_twice_by_one_node() -> None:
    graph = Graph()
    x = graph.add_input("x", TensorType(DType.FLOAT32, (4, 4)))
    graph.set_output("y", graph.add(Linear(), x, x))
    verify(graph)
