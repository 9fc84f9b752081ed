"""`check`: what each port can take of a model, with nothing written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..exporter.given_model import graph_of
from ..exporter.graph import Graph
from ..targets.prepare import legalised, refusals
from ..targets.registry import TARGET_NAMES
from .export import chosen_targets

if TYPE_CHECKING:
    from torch.nn import Module


@dataclass(frozen=True)
class RefusedNode:
    """A node that a port cannot spell.

    node     op and name, ``conv2d "stem"``
    source   the user's layer and line
    """

    code: str
    node: str
    source: str
    because: str
    help: str


@dataclass(frozen=True)
class PortCheck:
    """What one port makes of a model: how many nodes it would write, and which it cannot.

    notices   what a user should know about how the model was captured
    """

    port: str
    nodes: int
    refused: tuple[RefusedNode, ...]
    notices: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.refused

    def to_json(self) -> dict[str, Any]:
        refused = [vars(node) for node in self.refused]
        return {
            "port": self.port,
            "nodes": self.nodes,
            "passed": self.passed,
            "refused": refused,
            "notices": list(self.notices),
        }


def check(model: Graph | Module | str | Path, to: Sequence[str] = TARGET_NAMES) -> list[PortCheck]:
    """What each port in ``to`` can take of a model.

    model    a graph, a model of triport's, or the path of a .triport or .pt2 file

    Raises ModelError when the model cannot even be captured, UsageError for a port that does not exist.
    """
    targets = chosen_targets(to)
    graph = graph_of(model)
    checks = []
    for target in targets:
        prepared = legalised(graph, target)
        refused = tuple(
            RefusedNode(refusal.code, node.describe(), str(node.source), refusal.because, refusal.help)
            for node, refusal in refusals(prepared, target)
        )
        checks.append(PortCheck(target.name, len(prepared.nodes), refused, graph.notices))
    return checks
