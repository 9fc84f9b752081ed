"""Short names for what nobody looks up: in a small network names take more bytes than what they stand for.

Kept are the names of inputs, outputs, parameters and nodes, by which users, messages and profiles know them. A number
is enough for a tensor between two nodes whose name would only repeat that of the first ("stem:out"), and for what the
spelling adds: scales, zero points, axes, inner steps, whose nodes have no name.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import onnx

from ...exporter.graph import Array, Graph, Value

LEAST_NAMED = 64
"""Cells of a constant that keeps its name."""


def shorten(graph: Graph, nodes: Sequence[onnx.NodeProto], initializers: Mapping[str, Array]) -> dict[str, Array]:
    """Renames tensors and nodes that spell the graph; returns the initialisers by their new names."""
    node_names = {node.name for node in graph.nodes}
    kept = _names_of(graph, nodes) | {name for name, array in initializers.items() if array.size >= LEAST_NAMED}
    free = _numbers(kept)
    new: dict[str, str] = {"": ""}
    for node in nodes:
        for tensors in (node.input, node.output):
            for name in tensors:
                if name not in new:
                    new[name] = name if name in kept else next(free)
            tensors[:] = [new[name] for name in tensors]
        if node.name not in node_names:
            node.ClearField("name")
    return {new.get(name, name): array for name, array in initializers.items()}


def tensor_names(graph: Graph, nodes: Iterable[onnx.NodeProto]) -> dict[Value, str]:
    """{value: its tensor}, of the values that nodes of the graph compute and a file of ours shows."""
    by_name = {node.name: node for node in nodes if node.name}
    computed = {name for node in nodes for name in node.output}
    found: dict[Value, str] = {}
    for node in graph.nodes:
        written = by_name.get(node.name)
        for index, value in enumerate(node.outputs):
            if value.name in computed:
                found[value] = value.name
            elif written is not None and index < len(written.output) and _repeats(value.name, node.name):
                found[value] = written.output[index]
    return found


def _names_of(graph: Graph, nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """The names of the graph's values, without those that say no more than the name of the node in the file."""
    values = [*graph.inputs, *(value for node in graph.nodes for value in (*node.inputs, *node.outputs))]
    repeated = {(name, node.name) for node in nodes for name in node.output if _repeats(name, node.name)}
    own = {v.name for v in values if v.producer is None or (v.name, v.producer.name) not in repeated}
    return {*graph.outputs, *own}


def _repeats(name: str, node: str) -> bool:
    return name.startswith(f"{node}:out")


def _numbers(taken: set[str]) -> Iterator[str]:
    return (name for number in itertools.count() if (name := f"_{number}") not in taken)
