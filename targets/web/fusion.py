"""Nodes that one kernel call stands for together: their values in between are never in memory.

A finder looks at one node, the last of a pattern, and at what stands before it. A fusion is written in the place of its
last node; the others are skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...exporter.graph import Graph, Node, Value

if TYPE_CHECKING:
    from .writer import Writer


@dataclass(frozen=True)
class Fusion:
    """``nodes`` are all that ``emit`` writes the calls of; the last of them in the graph's order has its result."""

    nodes: frozenset[Node]
    emit: Callable[[Writer], None]


Finder = Callable[[Graph, Node], Fusion | None]
"""The fusion that ends with this node, or None."""

Gatherer = Callable[[Graph, Collection[Node]], Iterator[Fusion]]
"""Fusions of nodes other than the second argument, which the finders took; no node is in two of them."""

_FINDERS: list[Finder] = []
_GATHERERS: list[Gatherer] = []


def finds(finder: Finder) -> Finder:
    """Decorator: registers a finder; those that were registered first have the first word."""
    _FINDERS.append(finder)
    return finder


def gathers(gatherer: Gatherer) -> Gatherer:
    """Decorator: registers a gatherer."""
    _GATHERERS.append(gatherer)
    return gatherer


def fusions(graph: Graph, *, gathered: bool = True) -> dict[Node, Fusion]:
    """{last node: its fusion}; no node is in two of them. ``gathered``: those of gatherers as well."""
    position = {node: i for i, node in enumerate(graph.nodes)}
    found: dict[Node, Fusion] = {}
    taken: set[Node] = set()
    for node in graph.nodes:
        for finder in _FINDERS:
            fusion = finder(graph, node)
            if fusion is not None and taken.isdisjoint(fusion.nodes):
                taken |= fusion.nodes
                found[max(fusion.nodes, key=position.__getitem__)] = fusion
                break
    for gatherer in _GATHERERS if gathered else ():
        for fusion in gatherer(graph, frozenset(taken)):
            taken |= fusion.nodes
            found[max(fusion.nodes, key=position.__getitem__)] = fusion
    return found


def inner(graph: Graph, value: Value, nodes: Collection[Node]) -> bool:
    """Whether nobody but these nodes reads a value."""
    return not graph.is_output(value) and all(user in nodes for user in value.users)
