"""`describe_file`: what ``triport describe`` does. A name, labels and preprocessing are put into a model's file, from
where they travel to every port."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UsageError
from .given_model import graph_of
from .graph import Graph
from .labels import Labels, labels_of
from .preprocessing import CHANNELS, KEYS, Preprocessing, image_form, preprocessing_of

if TYPE_CHECKING:
    from torch.nn import Module

MAX_BYTES = 16 * 2**20
"""Of a file of labels or of preprocessing."""

_TEXTS = ("channels", "resize")
_CHANNELS = {count: name for name, count in reversed(CHANNELS.items())}
"""How many there are → what they are called, if nobody says otherwise: 3 are rgb."""

Keys = Mapping[str, Any]
"""Of `Preprocessing`."""


def describe_file(
    model: Graph | Module | str | Path,
    out: str | Path,
    *,
    labels: str | Path | None = None,
    preprocessing: str | Path | None = None,
    name: str | None = None,
) -> Graph:
    """Writes a model's graph with what it and its classes are called and how pictures are prepared; returns the graph.

    model           a graph, a triport model, or the path of a .triport or .pt2 file
    out             the .triport file to write; may be the model's own
    labels          as `read_labels` takes them
    preprocessing   as `read_keys` takes it; what an input declares already stays, key by key
    name            the model's new name, of printed characters
    raises          UsageError where they do not fit the model, or where none is given
    """
    if labels is None and preprocessing is None and name is None:
        raise UsageError(
            "TP001",
            "there is nothing to describe: no labels, no preprocessing and no name were given",
            help='--labels labels.txt, --preprocessing "range=0,1 channels=grey", --name digits, or several of them',
        )
    if name is not None and not (name.strip() and name.isprintable()):
        raise UsageError("TP001", f"a model's name has to be of printed characters, got {name!r}", help="--name digits")
    if Path(out).suffix.lower() != ".triport":
        raise UsageError("TP001", f"{out} is no name of a .triport file", help="-o described.triport")
    graph = graph_of(model).copy()
    graph.name = name or graph.name
    declared = labels_of(graph)
    graph.describe(read_labels(labels) if labels is not None else None)
    graph.describe(declared | labels_of(graph) or None)
    if preprocessing is not None:
        rules = {
            name: _completed(graph, name, keys) for name, keys in _by_input(graph, read_keys(preprocessing)).items()
        }
        graph.describe(preprocessing=preprocessing_of(graph) | rules)
    graph.save(out)
    return graph


def _by_input(graph: Graph, keys: Keys | Mapping[str, Keys]) -> dict[str, Keys]:
    """The keys of each input; UsageError TP004 where they are for one of several."""
    if keys and all(isinstance(value, Mapping) for value in keys.values()):
        return dict(keys)
    declared = list(preprocessing_of(graph))
    images = declared or [v.name for v in graph.inputs if image_form(graph, v, Preprocessing.from_json(keys))]
    if len(images) == 1:
        return {images[0]: keys}
    listed = ", ".join(f'"{value.name}" {value.type}' for value in graph.inputs)
    raise UsageError(
        "TP004",
        f"preprocessing has to say which input it is for: {'several hold' if images else 'none holds such'} images",
        because=f"the inputs are {listed}",
        help='a .json file {"input": {"channels": "grey", "size": [28, 28]}}',
    )


def _completed(graph: Graph, name: str, keys: Keys) -> Preprocessing:
    """The keys, with what the input declares already, and channels as many as it has."""
    declared = preprocessing_of(graph)
    value = next((value for value in graph.inputs if value.name == name), None)
    if name in declared:
        keys = declared[name].to_json() | dict(keys)
    elif value is not None and "channels" not in keys:
        form = image_form(graph, value, Preprocessing.from_json(keys))
        keys = dict(keys) | ({"channels": _CHANNELS[form.channels]} if form else {})
    return Preprocessing.from_json(keys)


def read_labels(path: str | Path) -> Labels:
    """Names of classes: a text file with one a line, or a .json file with a list of them or {output name: list}.

    raises   UsageError TP001 for a file that is not there, is no text, or has an empty line between names
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        found = _json(path, "labels")
        if isinstance(found, list | dict):
            return found
        raise UsageError("TP001", f"{path} has to hold a list of names or {{output: list}}, got {found!r}"[:200])
    lines = [line.strip() for line in _text(path, "labels").splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if "" in lines:
        raise UsageError(
            "TP001",
            f"{path} has no name in line {lines.index('') + 1}: the names of the classes stand one a line",
            help="give every class a name, in the order of the model's output",
        )
    return lines


def read_keys(given: str | Path) -> Keys | Mapping[str, Keys]:
    """``"mean=0.5 std=0.25 channels=bgr"``, or the path of a .json file with the same keys or {input name: keys}.

    raises   UsageError TP001 for what is neither, and for a file that is not there
    """
    if str(given).lower().endswith(".json"):
        found = _json(Path(given), "preprocessing")
        if not isinstance(found, Mapping):
            raise UsageError("TP001", f"{given} has to hold {{key: value}}, got {found!r}"[:200])
        return found
    words = str(given).split()
    pairs = [word.partition("=") for word in words]
    wrong = next((word for word, (_, sign, value) in zip(words, pairs, strict=True) if not sign or not value), None)
    if wrong is not None or not words:
        raise UsageError(
            "TP001",
            f"preprocessing has to be key=value pairs or a .json file, got {wrong if wrong is not None else given!r}",
            help='"mean=0.485,0.456,0.406 std=0.229,0.224,0.225 shorter_side=256"; the keys are ' + ", ".join(KEYS),
        )
    twice = next((key for i, (key, *_) in enumerate(pairs) if key in {earlier for earlier, *_ in pairs[:i]}), None)
    if twice is not None:
        raise UsageError("TP001", f"preprocessing: {twice} is given twice", help="leave one of them out")
    return {key: _value(key, value) for key, _, value in pairs}


def _value(key: str, text: str) -> Any:
    """A word, a number, or several that commas part; ``size=224x320`` is height and width."""
    if key in _TEXTS:
        return text
    parts = text.replace("x", ",").split(",") if key == "size" else text.split(",")
    try:
        numbers = [float(part) if "." in part or "e" in part.lower() else int(part) for part in parts]
    except ValueError:
        raise UsageError(
            "TP001",
            f"preprocessing: {key} has to be a number, or numbers with commas between them, got {text!r}",
            help='"mean=0.485,0.456,0.406 std=0.25"',
        ) from None
    return numbers[0] if len(numbers) == 1 else numbers


def _json(path: Path, what: str) -> Any:
    text = _text(path, what)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError("TP001", f"the {what} in {path} are no JSON", because=str(error)) from error


def _text(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError("TP001", f"the {what} {path} cannot be read", because=error.strerror) from error
    if len(data) > MAX_BYTES:
        raise UsageError("TP001", f"{path} has more than {MAX_BYTES >> 20} MB, and is no file of {what}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError("TP001", f"{path} is no text in UTF-8, and no file of {what}") from error


__all__ = ["describe_file", "read_keys", "read_labels"]
