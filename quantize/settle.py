"""A graph that has been calibrated, from which plans can be had: one for each choice of nodes that stay float."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..exporter.graph import Graph, Node
from .fine_inputs import fine_values, with_room
from .forms import Decision, decide
from .observe import Observed
from .plan import Plan
from .solve import Unsettled, coded_values, solve


@dataclass(frozen=True)
class Calibrated:
    """What a plan follows from.

    graph      canonical
    patterns   of nodes that stay float
    seen       what calibration saw of each value that may be held as codes
    notices    what it found suspicious about the samples and the weights
    """

    graph: Graph
    scheme: str
    observer: str
    io: str
    patterns: Sequence[str]
    seen: Mapping[str, Observed]
    notices: tuple[str, ...] = ()
    input_bits: int = 8

    def plan(self, kept: Mapping[str, str] | None = None) -> Plan:
        """The plan in which these nodes stay float, too: {node name: reason}."""
        refused = dict(kept or {})
        while True:
            decisions = self.decisions(refused)
            coded = [value for value in coded_values(self.graph, decisions, self.io) if not value.is_constant]
            ranges = {value.name: self.seen[value.name].range(self.observer) for value in coded}
            try:
                if self.input_bits != 8:
                    forms = {node.name: decision.form for node, decision in decisions.items()}
                    fine = {value.name for value in fine_values(self.graph, forms)}
                    ranges |= {name: with_room(ranges[name]) for name in fine}
                    plan = solve(self.graph, decisions, ranges, self.scheme, self.io, short=fine)
                    return replace(plan, input_bits=self.input_bits)
                return solve(self.graph, decisions, ranges, self.scheme, self.io)
            except Unsettled as unsettled:
                refused[unsettled.node.name] = "no scale keeps its results from ties"

    def decisions(self, refused: Mapping[str, str] | None = None) -> dict[Node, Decision]:
        """The form of every node."""
        return decide(self.graph, self.patterns, refused, coded_inputs=self.io != "float32", scheme=self.scheme)
