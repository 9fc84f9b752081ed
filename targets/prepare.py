"""From a portable graph to one that a target can write, or to the list of what it cannot."""

from __future__ import annotations

from ..exporter.errors import ModelError
from ..exporter.graph import Graph, Node
from ..exporter.graph.container import release_pages
from ..exporter.passes import legalise
from .emit import Refusal
from .target import Target


def prepare(graph: Graph, target: Target) -> Graph:
    """The graph as the target writes it; ModelError lists every node that it cannot spell."""
    prepared = legalised(graph, target)
    refused = refusals(prepared, target)
    if refused:
        raise refused_error(target, refused)
    return prepared


def legalised(graph: Graph, target: Target) -> Graph:
    """The graph after the target's passes, whether or not it can be written."""
    can = target.capabilities
    prepared = legalise(
        graph,
        layout=can.layout,
        fuses=can.fuses,
        lifts_1d=can.lifts_1d,
        spells=lambda node: target.refusal(node) is None,
        tabulates=can.tabulates,
        takes_matrices=can.takes_matrices,
        clamps_codes=can.clamps_codes,
    )
    release_pages(value.array() for value in graph.constants())
    return prepared


def refusals(prepared: Graph, target: Target) -> list[tuple[Node, Refusal]]:
    """Every node that the target cannot spell, in order, with its reason."""
    found = ((node, target.refusal(node)) for node in prepared.nodes)
    return [(node, refusal) for node, refusal in found if refusal is not None]


def refused_error(target: Target, refused: list[tuple[Node, Refusal]]) -> ModelError:
    """One error that names them all: the first in its message, and with several a line for each."""
    node, first = refused[0]
    message = f"{node.describe()} cannot be written to {target.name}: {first.because}"
    if len(refused) == 1:
        return ModelError(first.code, message, at=str(node.source) or None, help=first.help)
    details = []
    for other, refusal in refused:
        at = f" ({other.source})" if str(other.source) else ""
        advice = f"; {refusal.help}" if refusal.help != first.help else ""
        details.append(f"{other.describe()}{at}: {refusal.because}{advice}")
    return ModelError(
        first.code,
        f"{message} (and {len(refused) - 1} more)",
        at=str(node.source) or None,
        details=details,
        help=first.help,
    )
