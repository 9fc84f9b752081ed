"""Whether a graph is sound: what every pass relies on and has to leave true."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from ..errors import TriportError
from .graph import Graph, Node, Value
from .types import DType


class InvalidGraph(AssertionError):
    """A graph breaks its own rules. Raised for defects in passes and builders, never for what a user wrote."""


def verify(graph: Graph) -> None:
    """Checks a graph from end to end; InvalidGraph names the first thing that is wrong.

    Every value has one name and one origin (input, constant, or output of one node of the graph), every node follows
    what it reads, types are what the ops' shape rules say, and the lists of users are those that the inputs imply.
    """
    try:
        nodes = graph.nodes
    except ValueError as error:
        raise InvalidGraph(str(error)) from error
    known: dict[Value, None] = dict.fromkeys(graph.inputs)
    for value in graph.inputs:
        if value.producer is not None or value.is_constant:
            raise InvalidGraph(f"input %{value.name} has another origin as well")
    if len(known) != len(graph.inputs):
        raise InvalidGraph("an input is listed twice")
    for node in nodes:
        _verify_inputs(node, known)
        _verify_outputs(node, known)
        known.update(dict.fromkeys((*node.inputs, *node.outputs)))
    for name, value in graph.outputs.items():
        if value not in known and not value.is_constant:
            raise InvalidGraph(f'output "{name}" is %{value.name}, which nothing in the graph computes')
        known[value] = None
    _verify_names(known, nodes)
    _verify_users(known, nodes)


@contextlib.contextmanager
def shape_rule(what: str) -> Iterator[None]:
    """Turns whatever an op's shape rule raises into an InvalidGraph about ``what``.

    Shape rules check what a model can get wrong, not that axes exist or that strides are not 0, so attributes from a
    file that was tampered with make them fail in any of the ways in which arithmetic and indexing fail.
    """
    try:
        yield
    except TriportError as error:
        raise InvalidGraph(f"{what} does not fit its operands: {error.message}") from error
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InvalidGraph(f"{what} does not fit its operands: {error}") from error


def _verify_inputs(node: Node, known: dict[Value, None]) -> None:
    for value in node.inputs:
        if value.constant is not None:
            if value.producer is not None:
                raise InvalidGraph(f"constant %{value.name} is computed by {value.producer.describe()} as well")
            if (value.type.dtype, value.type.shape) != (DType.of(value.constant), value.constant.shape):
                raise InvalidGraph(f"constant %{value.name} is {value.type}, its array {value.constant.shape}")
        elif value not in known:
            raise InvalidGraph(f"{node.describe()} reads %{value.name}, which nothing in the graph computes")


def _verify_outputs(node: Node, known: dict[Value, None]) -> None:
    with shape_rule(node.describe()):
        types = node.op.infer_outputs(*(value.type for value in node.inputs))
    if len(types) != len(node.outputs):
        raise InvalidGraph(f"{node.describe()} has {len(node.outputs)} outputs, its op gives {len(types)}")
    for value, expected in zip(node.outputs, types, strict=True):
        if value.producer is not node or value.is_constant or value in known:
            raise InvalidGraph(f"%{value.name}, an output of {node.describe()}, has another origin as well")
        if value.type != expected:
            raise InvalidGraph(f"%{value.name} is {value.type}, but {node.describe()} gives {expected}")


def _verify_names(values: dict[Value, None], nodes: tuple[Node, ...]) -> None:
    for kind, names in (("value", [value.name for value in values]), ("node", [node.name for node in nodes])):
        for name, count in Counter(names).items():
            if count > 1:
                raise InvalidGraph(f'{count} {kind}s are named "{name}"')


def _verify_users(values: dict[Value, None], nodes: tuple[Node, ...]) -> None:
    readers: dict[Value, set[Node]] = {value: set() for value in values}
    for node in nodes:
        for value in node.inputs:
            readers[value].add(node)
    for value, expected in readers.items():
        if set(value.users) != expected:
            listed = sorted(node.name for node in value.users)
            raise InvalidGraph(f"%{value.name} is read by {sorted(n.name for n in expected)}, but lists {listed}")
