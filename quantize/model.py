"""The float graph of whatever stands for a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..exporter.errors import UsageError
from ..exporter.graph import Graph
from ..exporter.graph.file import load_graph

if TYPE_CHECKING:
    from torch.nn import Module


def graph_of(model: Graph | Module | str | Path) -> Graph:
    """A graph as it is, that of a triport model, or that in a .triport or .pt2 file; UsageError TP001 for the rest."""
    if isinstance(model, Graph):
        return model
    if isinstance(model, str | Path):
        if Path(model).suffix == ".pt2":
            from ..exporter.capture import capture_saved

            return capture_saved(model)
        return load_graph(model)
    to_graph = getattr(model, "to_graph", None)
    if to_graph is None:
        raise UsageError(
            "TP001",
            f"expected a graph, a triport model or the path of a .triport or .pt2 file, got {type(model).__name__}",
            help='capture a torch module first: tp.capture(module, example_inputs, dynamic={"x": {0: "batch"}})',
        )
    graph = to_graph()
    assert isinstance(graph, Graph)
    return graph
