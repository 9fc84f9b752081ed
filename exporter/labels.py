"""Names of classes, which travel with the graph: ``metadata["labels"] = {output name: [name of class 0, …]}``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .errors import FormatError, UsageError
from .graph import Graph

METADATA_KEY = "labels"

Labels = Sequence[str] | Mapping[str, Sequence[str]]
"""For the only output that has so many classes, or by the outputs' names."""


def record_labels(graph: Graph, given: Labels | None) -> None:
    """Writes them into the graph's metadata; nothing for None.

    An output's classes lie along its last axis, or along axis 1 (``[batch, classes, height, width]``), whichever has so
    many; where both have, whoever reads the labels has to be told (``axis`` of a page's ``topK``).
    raises   UsageError TP004 for an unknown output, TP002 where no output has so many classes, TP001 for no texts
    """
    if given is None:
        return
    by_output = dict(given) if isinstance(given, Mapping) else {_only_output(graph, given): given}
    for output, names in by_output.items():
        if output not in graph.outputs:
            raise UsageError("TP004", f"labels are for {output!r}; the outputs are {', '.join(graph.outputs)}")
        _check_texts(names)
        if len(names) not in _classes(graph, output):
            value = graph.outputs[output]
            raise UsageError("TP002", f'{len(names)} labels were given, and the output "{output}" is {value.type}')
    graph.metadata[METADATA_KEY] = {output: list(names) for output, names in by_output.items()}


def labels_of(graph: Graph) -> dict[str, list[str]]:
    """{output name: labels}; FormatError TP408 where the metadata hold something else under that name."""
    found = graph.metadata.get(METADATA_KEY) or {}
    try:
        other = Graph(graph.name)
        other.outputs = graph.outputs
        record_labels(other, found or None)
    except (UsageError, TypeError) as error:
        because = error.message if isinstance(error, UsageError) else str(error)
        raise FormatError("TP408", f"the metadata's labels of {graph.name} are none", because=because) from error
    return dict(other.metadata.get(METADATA_KEY, {}))


def _check_texts(names: object) -> None:
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(n, str) for n in names):
        raise UsageError(
            "TP001", f"labels have to be texts in a list, got {names!r}"[:200], help='labels=["cat", "dog"]'
        )


def _classes(graph: Graph, output: str) -> set[int]:
    shape = graph.outputs[output].type.shape
    return {size for size in (shape[-1:] + shape[1:2]) if isinstance(size, int)}


def _only_output(graph: Graph, names: Sequence[str]) -> str:
    _check_texts(names)
    fitting = [output for output in graph.outputs if len(names) in _classes(graph, output)]
    if len(fitting) != 1:
        listed = ", ".join(f'"{name}" {value.type}' for name, value in graph.outputs.items())
        many = "several outputs have" if fitting else "no output has"
        raise UsageError(
            "TP002",
            f"{len(names)} labels were given, and {many} so many classes",
            because=f"the outputs are {listed}",
            help='give one for each class; of several outputs name the one: {"output": ["cat", "dog"]}',
        )
    return fitting[0]


__all__ = ["Labels", "labels_of", "record_labels"]
