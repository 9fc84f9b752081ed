"""Samples with labels, and the accuracy of a graph on them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..exporter.errors import UsageError
from ..exporter.graph import Array, Graph
from ..exporter.wording import with_article
from .calibrate import fitted, is_free, rows_at_a_time
from .engine import Engine

Labelled = tuple[Mapping[str, Array] | Array, Array]
"""Samples by the inputs' names, or the array for the only input, and a label for each."""

Labels = npt.NDArray[np.int64]

_HELP = "validation=({input name: array [samples, …]}, labels [samples])"


def labelled(graph: Graph, given: Labelled) -> tuple[dict[str, Array], Labels]:
    """The samples by the inputs' names, and their labels [samples]; of a graph for a fixed number of samples, without
    those that do not fill a last batch.

    raises   UsageError TP051 for what is no such pair, and as of calibration for arrays that fit no input
    """
    pair: object = given
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        count = f" of {len(pair)}" if isinstance(pair, tuple | list) else ""
        raise UsageError(
            "TP051",
            f"validation has to be samples and their labels, got {with_article(type(pair).__name__)}{count}",
            help=_HELP,
        )
    types = {value.name: value.type for value in graph.inputs}
    inputs, labels = fitted("validation samples", pair[0], types), np.asarray(pair[1])
    one_each = (
        labels.ndim > 0 and labels.size == len(labels) and {a.shape[:1] for a in inputs.values()} == {labels.shape[:1]}
    )
    if not labels.size:
        raise UsageError("TP051", "there are no labelled samples to measure on", help=_HELP)
    if labels.dtype.kind not in "iu" or not one_each:
        raise UsageError(
            "TP051",
            f"labels are {labels.dtype.name}{list(labels.shape)}, one whole number is needed for each sample",
            help=_HELP,
        )
    whole = len(labels) - len(labels) % (1 if is_free(types) else rows_at_a_time(types, len(labels)))
    return {name: array[:whole] for name, array in inputs.items()}, labels.reshape(-1)[:whole].astype(np.int64)


def accuracy(graph: Graph, inputs: Mapping[str, Array], labels: Labels, rows: int = 64) -> float:
    """Share of the samples whose largest score, of the first output, stands at the label.

    inputs   {name: array [samples, …]}
    labels   integers [samples]
    rows     samples at a time, where the graph leaves that free; of a graph for a fixed number, samples that do not
             fill a last batch are left out
    raises   UsageError TP051 for a label that is no class of the output, and for an output that has more than a row of
             scores a sample, such as a class for each pixel
    """
    engine, output = Engine(graph), next(iter(graph.outputs))
    types = {value.name: value.type for value in graph.inputs}
    step, count = rows, len(labels)
    if not is_free(types):
        step = rows_at_a_time(types, count)
        count -= count % step
    hits = 0
    for start in range(0, count, step):
        part = slice(start, min(start + step, count))
        scores = engine.answers({name: array[part] for name, array in inputs.items()})[output]
        table = scores.reshape(len(labels[part]), -1)
        if not start:
            _check_row(scores, output)
            _check_classes(labels, output, table.shape[1])
        hits += int((table.argmax(1) == labels[part]).sum())
    return hits / max(count, 1)


def _check_row(scores: Array, output: str) -> None:
    if sum(size > 1 for size in scores.shape[1:]) > 1:
        raise UsageError(
            "TP051",
            f'the output "{output}" is {list(scores.shape)}, not one row of scores a sample',
            because="accuracy is the share of the samples whose largest score stands at their label",
            help="quantize without max_drop and validation, or make [samples, classes] the model's first output",
        )


def _check_classes(labels: Labels, output: str, classes: int) -> None:
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if not wrong.size:
        return
    from_one = int(labels.min()) == 1 and int(labels.max()) == classes
    first = int(wrong[0])
    raise UsageError(
        "TP051",
        f'label {labels[first]} of sample {first} is no class of the output "{output}", which has {classes} scores a '
        f"sample: classes 0 … {classes - 1}",
        because=f"{wrong.size} of the {len(labels)} labels are beyond them",
        help="classes count from 0: subtract 1 from the labels"
        if from_one
        else "a label is the place of the sample's class in the first output, counted from 0",
    )
