"""The graph itself in torch: the judge that ports are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from ...exporter.graph import Array, DType, Graph
from .base import Missing, Session


class Reference:
    """Loads ``.triport`` files.

    dtype   what every float is computed in; None: as the graph says
    """

    name = "reference"
    target = "triport"

    def __init__(self, *, dtype: DType | None = None) -> None:
        self.dtype = dtype

    def missing(self) -> Missing | None:
        if find_spec("torch") is None:
            return Missing("torch, which computes the reference, is not installed", "pip install 'triport[train]'")
        return None

    def version(self) -> str:
        return version("torch")

    def load(self, artefact: Path) -> Session:
        if missing := self.missing():
            raise missing.error()
        from ...exporter.graph.file import load_graph

        return ReferenceSession(load_graph(artefact), self.dtype)


class ReferenceSession(Session):
    """A graph in memory, run in torch."""

    def __init__(self, graph: Graph, dtype: DType | None = None) -> None:
        self._graph = graph
        self._dtype = dtype
        self.inputs = {value.name: value.type for value in graph.inputs}
        self.outputs = {name: value.type for name, value in graph.outputs.items()}

    def _run(self, arrays: dict[str, Array]) -> dict[str, Array]:
        from ...exporter.reference import run_graph

        return run_graph(self._graph, arrays, dtype=self._dtype)

    def all_values(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """{value name: array} of everything the graph computes, in the order it is computed."""
        from ...exporter.reference import run_values

        return {value.name: array for value, array in run_values(self._graph, arrays, dtype=self._dtype)}
