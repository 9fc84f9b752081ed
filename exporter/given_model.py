"""The graph of whatever stands for a model: a graph, a model of triport's, or a file."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import EnvironmentError_, UsageError
from .graph import Graph
from .graph.file import load_graph
from .passes.input_layout import METADATA_KEY, NHWC, check_input_layout, turn_inputs

if TYPE_CHECKING:
    from torch.nn import Module


def graph_of(model: Graph | Module | str | Path, input_layout: str | None = None) -> Graph:
    """A graph as it is, that of a triport model, or that in a .triport or .pt2 file.

    input_layout   "nhwc": images that come channels first are turned; a graph whose images are so already stays
    raises         UsageError TP001 for anything else, EnvironmentError_ TP310 for a .pt2 file where torch is missing
    """
    turns = check_input_layout(input_layout)
    if isinstance(model, str | Path) and Path(model).suffix.lower() == ".pt2":
        require_torch(Path(model))
        from .capture import capture_saved

        return capture_saved(Path(model), input_layout=input_layout)
    graph = _as_it_is(model)
    return turn_inputs(graph).graph if turns and graph.metadata.get(METADATA_KEY) != NHWC else graph


def require_torch(path: Path) -> None:
    """EnvironmentError_ TP310 where torch, which reads such a file, is not installed."""
    if find_spec("torch") is None:
        raise EnvironmentError_(
            "TP310",
            f"{path.name} is a torch program, and torch is not installed",
            help="pip install 'triport[train]', or take the .triport file, which needs no torch",
        )


def _as_it_is(model: Graph | Module | str | Path) -> Graph:
    if isinstance(model, Graph):
        return model
    if isinstance(model, str | Path):
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
