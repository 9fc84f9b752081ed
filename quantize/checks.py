"""What calibration data have to be, and what a user should know of them and of the scales that they gave.

What makes every range meaningless is refused (TP051). What is only suspicious becomes a notice, which the plan, the
quantized graph and the export report carry.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..exporter.errors import ModelError, UsageError
from ..exporter.graph import Array, Graph, Node, Value
from ..exporter.ops import Add, Conv, Dequantize, Div, Linear, Mul, Sub
from ..exporter.ops.quantized import HIGHEST, LOWEST
from .forms import Decision, Form, matches
from .observe import Observed
from .plan import Plan
from .weights import HIGHEST as HIGHEST_WEIGHT

FEW = 32
"""Samples below which ranges are called a guess."""

CLIPPED = 0.01
"""Share of a value's cells beyond its codes that is worth telling."""

FLATTENED = 0.9
"""Share of a filter's weights that one outlier may round to 0 before it is told."""

FAR, NEAR = 3.0, 0.05
"""Shares of the recorded samples' reach between which calibration data are taken for the same kind of data."""

UNSCALED, SCALED_TWICE = 20.0, 0.02
"""After the model's own rescaling: a reach and a deviation outside of which data were not what it expects."""

_LOOKED_AT = 64
"""Rows whose distribution is looked at; extremes are those of all rows."""

_CELLS_OF_ROW = 1024
"""Cells of a row that are kept of it, about."""

Floats = npt.NDArray[np.float64]


@dataclass
class _Affine:
    """factor * x + offset, broadcast over the input's axes: what the model itself does to its input first."""

    factor: Floats
    offset: Floats
    layers: list[str]


@dataclass
class InputSeen:
    """What the samples of one input look like.

    rows       samples so far
    constant   every cell is the same number
    equal      every sample is the first one again
    cells      some of the cells, as they come in, and as they leave the model's own rescaling
    """

    name: str
    affine: _Affine | None
    rows: int = 0
    constant: bool = True
    equal: bool = True
    low: float = np.inf
    high: float = -np.inf
    cells: list[Array] = field(default_factory=list)
    scaled: list[Array] = field(default_factory=list)
    _first: Array | None = None

    def add(self, array: Array) -> None:
        """One batch; UsageError TP051 names the sample that is not finite."""
        rows = array.reshape(array.shape[0] if array.ndim else 1, -1)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            row = int(np.flatnonzero(~np.isfinite(rows).all(1))[0])
            broken = rows[row][~np.isfinite(rows[row])]
            raise UsageError(
                "TP051",
                f'calibration data for "{self.name}" are not finite: sample {self.rows + row} has '
                f"{int(np.isnan(broken).sum())} NaN and {int(np.isinf(broken).sum())} infinite of {rows.shape[1]}",
                help=f'leave the sample out: array[np.isfinite(array).reshape(len(array), -1).all(1)] of "{self.name}"',
            )
        if rows.size:
            if self._first is None:
                self._first = rows[0].copy()
            first = self._first
            self.constant = self.constant and bool((rows == first[0]).all())
            self.equal = self.equal and rows.shape[1] == first.size and bool((rows == first).all())
            self.low, self.high = min(self.low, float(rows.min())), max(self.high, float(rows.max()))
            if self.rows < _LOOKED_AT and array.dtype.kind == "f":
                step = max(1, rows.shape[1] // _CELLS_OF_ROW) | 1  # odd, or it would keep to a few channels
                self.cells.append(rows[:, ::step].copy())
                if self.affine is not None:
                    scaled = array * self.affine.factor.astype(np.float32) + self.affine.offset.astype(np.float32)
                    self.scaled.append(scaled.reshape(rows.shape)[:, ::step].copy())
        self.rows += len(rows)


def inputs_seen(graph: Graph) -> list[InputSeen]:
    """One for each input of a canonical graph, nothing seen yet."""
    return [InputSeen(value.name, _affine(value)) for value in graph.inputs]


def watched(batches: Iterable[Mapping[str, Array]], seen: Sequence[InputSeen]) -> Iterator[Mapping[str, Array]]:
    """The same batches, looked at on their way; UsageError TP051 at their end when they say nothing."""
    for batch in batches:
        for entry in seen:
            entry.add(batch[entry.name])
        yield batch
    rows = max((entry.rows for entry in seen), default=0)
    if rows == 0:
        raise UsageError(
            "TP051",
            "calibration has no samples: every array is empty, or none was asked for",
            help="pass some hundred real samples, preprocessed as the model takes them",
        )
    if all(entry.constant for entry in seen):
        given = ", ".join(f'"{entry.name}" is {entry.low:g}' for entry in seen)
        raise UsageError(
            "TP051",
            f"calibration data are constant, and give no ranges: in {rows} samples every cell of {given}",
            help="pass some hundred real samples, preprocessed as the model takes them",
        )


def rescales(value: Value) -> bool:
    """Whether the model multiplies or shifts this input itself before anything else reads it."""
    return _affine(value) is not None


def check_filters(graph: Graph) -> None:
    """ModelError TP130 when a weight is NaN or infinite: it has no codes."""
    for node in graph.nodes:
        for value in node.inputs:
            array = value.constant
            if array is not None and array.dtype.kind == "f" and isinstance(node.op, Conv | Linear):
                broken = int(array.size - np.isfinite(array).sum())
                if broken:
                    raise ModelError(
                        "TP130",
                        f"{node.describe()}: {broken} of the {array.size} numbers in {value.name} are NaN or infinite",
                        at=str(node.source) or None,
                        because="training diverged, or the weights were damaged before they were saved",
                        help="train again with a smaller learning rate, or with clipped gradients",
                    )


def check_patterns(graph: Graph, nodes: Collection[Node], patterns: Sequence[str]) -> None:
    """UsageError TP050 for a pattern of nodes that are to stay float and that no node has."""
    for pattern in patterns:
        if not any(matches(node, pattern) for node in nodes):
            known = dict.fromkeys(node.source.layer or node.name for node in graph.nodes)
            raise UsageError(
                "TP050",
                f'keep_float "{pattern}" names no node and no layer',
                help=f"there are: {_listed(list(known), 12)}",
            )


def check_finite(values: Sequence[Value], results: Mapping[str, Array], samples: str) -> None:
    """UsageError TP051 names the first inner value that is not finite.

    results   {"low{i}", "high{i}", "cells{i}"} of value i
    samples   which they are, in words
    """
    for i, value in enumerate(values):
        if all(np.isfinite(results[f"{role}{i}"]).all() for role in ("low", "high", "cells")):
            continue
        node = value.producer
        raise UsageError(
            "TP051",
            f'"{value.name}" becomes NaN or infinite on calibration {samples}, although the inputs are finite',
            at=str(node.source) or None if node else None,
            because=f"{node.describe()} leaves the finite numbers there" if node else None,
            help="look at that sample; a model that gives NaN in float32 has no int8 form",
        )


def notices_of_inputs(graph: Graph, seen: Sequence[InputSeen]) -> list[str]:
    """What is suspicious of the samples themselves."""
    rows = max(entry.rows for entry in seen)
    notices = []
    if rows > 1 and all(entry.equal for entry in seen):
        notices.append(f"all {rows} calibration samples are the same one: their ranges are those of a single sample")
    elif 0 < rows < FEW:
        count = "1 calibration sample is" if rows == 1 else f"{rows} calibration samples are"
        notices.append(f"{count} few: other inputs may leave the ranges; from {FEW} on they begin to settle")
    for entry in seen:
        told = _after_rescaling(entry) if entry.scaled else _beside_golden(graph, entry)
        if told:
            notices.append(told)
    return notices


def _after_rescaling(entry: InputSeen) -> str:
    """Whether data that the model rescales itself come out as such data should."""
    assert entry.affine is not None
    cells = np.concatenate([array.ravel() for array in entry.scaled])
    reach, deviation = float(np.percentile(np.abs(cells), 99)), _deviation(entry.scaled)
    if not (reach > UNSCALED or 0 < deviation < SCALED_TWICE):
        return ""
    ranges = (
        f"they span {entry.low:.4g} … {entry.high:.4g}, and {' and '.join(entry.affine.layers)} of the model makes "
        f"{cells.min():.4g} … {cells.max():.4g} of them"
    )
    if reach > UNSCALED:
        return f'calibration data for "{entry.name}" are far larger than the model expects: {ranges}'
    return f'calibration data for "{entry.name}" look rescaled already, and the model does it again: {ranges}'


def _deviation(batches: Sequence[Array]) -> float:
    """By how much samples differ, cell by cell: channels may be normalised each in its way."""
    squares = [batch.std(0).astype(np.float64).ravel() ** 2 for batch in batches if len(batch) > 1]
    return float(np.sqrt(np.concatenate(squares).mean())) if squares else 0.0


def _beside_golden(graph: Graph, entry: InputSeen) -> str:
    """Whether data have the size of those that were recorded when the model was captured."""
    recorded = [sample.inputs[entry.name].ravel() for sample in graph.samples if entry.name in sample.inputs]
    known = np.concatenate(recorded) if recorded else np.empty(0, np.float32)
    if known.dtype.kind != "f" or not entry.cells or not known.size or not np.isfinite(known).all():
        return ""
    wanted = float(np.abs(known).max())
    given = float(np.percentile(np.abs(np.concatenate([array.ravel() for array in entry.cells])), 99))
    if not wanted or NEAR * wanted <= given <= FAR * wanted or not given:
        return ""
    return (
        f'calibration data for "{entry.name}" span {entry.low:.4g} … {entry.high:.4g}, and the samples recorded with '
        f"the model {known.min():.4g} … {known.max():.4g}: were they normalised twice, or not at all?"
    )


def notices_of_values(plan: Plan, seen: Mapping[str, Observed]) -> list[str]:
    """Which values saturate, and which were never anything but 0."""
    saturated, zero = [], []
    for name, observed in seen.items():
        planned = plan.values.get(name)
        if planned is None:
            continue
        if observed.low == observed.high == 0:
            zero.append(f'"{name}"')
            continue
        share = _beyond(observed, planned.quantization.scale, planned.quantization.zero_point)
        if share > CLIPPED:
            saturated.append(f'"{name}" ({share:.1%})')
    notices = []
    if saturated:
        notices.append(
            f"cells that lie beyond their codes and saturate: {_listed(saturated)}; observer minmax has none"
        )
    if zero:
        notices.append(f"calibration saw nothing but 0 in {_listed(zero)}: their scales are a guess")
    return notices


def notices_of_forms(plan: Plan) -> list[str]:
    """Whether anything is quantized at all."""
    if set(plan.counts()) - {Form.FLOAT.value}:
        return []
    if not plan.accuracy:
        return ["nothing is quantized: every node stays float"]
    samples = plan.accuracy["samples"]
    return [
        f"nothing is quantized: no layer's loss is within the bound. One of {samples} validation samples is "
        f"{100 / samples:.2f} points: allow more, or give more samples"
    ]


def notices_of_border(graph: Graph, plan: Plan) -> list[str]:
    """Which inputs and outputs stay float although codes are asked for."""
    if plan.io == "float32":
        return []
    border = [*((v.name, v) for v in graph.inputs), *graph.outputs.items()]
    kept = [f'"{name}"' for name, value in border if value.type.dtype.is_float and value.name not in plan.values]
    return [f"no codes stand for {_listed(kept)}, which therefore stay float32 at the border"] if kept else []


def notices_of_outputs(quantized: Graph, plan: Plan) -> list[str]:
    """Which outputs stay float although codes are asked for and the plan has them."""
    border = quantized.outputs.items() if plan.io != "float32" else ()
    kept = [f'"{name}"' for name, value in border if value.type.dtype.is_float and _of_codes(value, plan)]
    if not kept:
        return []
    return [
        f"codes of {_listed(kept)} could differ by a step between runtimes, because a node before stays float: float32 "
        "is what leaves the model there"
    ]


def _of_codes(value: Value, plan: Plan) -> bool:
    """Whether the plan has codes for a float output, or for what it was dequantized from."""
    node = value.producer
    of = node.inputs[0] if node is not None and isinstance(node.op, Dequantize) else value
    return of.name in plan.values


def _beyond(observed: Observed, scale: float, zero_point: int) -> float:
    """Share of the cells more than half a step outside of what the codes stand for."""
    counts, centres = observed.histogram.counts, observed.histogram.centres
    total = float(counts.sum())
    reach = observed.histogram.width / 2 + scale / 2
    low, high = (LOWEST - zero_point) * scale - reach, (HIGHEST - zero_point) * scale + reach
    return float(counts[(centres < low) | (centres > high)].sum()) / total if total else 0.0


def notices_of_weights(decisions: Mapping[Node, Decision]) -> list[str]:
    """Filters in which one large weight leaves the others no codes."""
    flattened = []
    for node, decision in decisions.items():
        if decision.form is not Form.INTEGER or not isinstance(node.op, Conv | Linear):
            continue
        weight = np.abs(node.inputs[1].array().reshape(node.inputs[1].array().shape[0], -1))
        largest = weight.max(1, initial=0.0)
        lost = ((weight > 0) & (weight < largest[:, None] / HIGHEST_WEIGHT / 2)).sum(1)
        worst = np.flatnonzero(lost > FLATTENED * np.maximum((weight > 0).sum(1) - 1, 1))
        if worst.size:
            flattened.append(f'{worst.size} of {len(weight)} in "{node.name}" (up to {largest[worst].max():.3g})')
    if not flattened:
        return []
    return [f"filters in which one large weight rounds nearly all others to 0: {_listed(flattened)}; keep them float"]


def _affine(value: Value) -> _Affine | None:
    """What the nodes behind an input do to it, as long as they only multiply and add numbers."""
    factor, offset = np.ones((), np.float64), np.zeros((), np.float64)
    layers: dict[str, None] = {}
    while len(value.users) == 1:
        (node,) = value.users
        number = next((operand.array() for operand in node.inputs if operand.is_constant), None)
        if (
            number is None
            or not isinstance(node.op, Add | Div | Mul | Sub)
            or node.output.type.shape != value.type.shape
        ):
            break
        known, first = number.astype(np.float64), node.inputs[0] is value
        if isinstance(node.op, Mul):
            factor, offset = factor * known, offset * known
        elif isinstance(node.op, Add):
            offset = offset + known
        elif isinstance(node.op, Sub):
            factor, offset = (factor, offset - known) if first else (-factor, known - offset)
        elif first:
            factor, offset = factor / known, offset / known
        else:
            break
        layers[f'"{node.source.layer or node.name}"'] = None
        value = node.output
    return _Affine(np.asarray(factor), np.asarray(offset), list(layers)) if layers else None


def _listed(items: Sequence[str], most: int = 4) -> str:
    """The first few, and how many more."""
    rest = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + rest
