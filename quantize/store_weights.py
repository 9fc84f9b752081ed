"""Weights in fewer bits, activations in float32: the schemes that need no samples, and are better with some.

Every weight is rounded to numbers that a file can hold in few bits (exporter/graph/stored.py). The graph stays a float
graph, and what its ports answer is judged as that of any other.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..exporter.errors import UsageError
from ..exporter.graph import Array, DType, Graph, Node, Sample, Value
from ..exporter.graph.stored import CODE_RANGES, LEAST_CELLS, LEAST_SHARING, StoredForm, rounded_step
from ..exporter.ops import Add, Conv, ConvTranspose, Gather, Layout, Linear, MatMul
from ..exporter.ops.base import normalize_axis
from ..exporter.ops.recurrent import Recurrent
from .calibrate import Calibration, batches_of
from .canonical import canonical
from .checks import check_patterns
from .forms import matches
from .recover import ROUNDINGS, Rounding, rounding_of
from .recover.layers import is_roundable, look

BITS = {"float16": 16, "int8-weights": 8, "int4-weights": 4}
"""The schemes, and the bits of a weight in each."""

BLOCKS = (0, 16, 32, 64, 128, 256)
"""Weights in a row that may share a step; 0: all that belong to a filter."""

DEFAULT_BLOCK = 64

LEAST_BLOCK = 16

LEAST_FOR_4_BITS = 16
"""Weights of a filter: one of fewer (a depthwise one of 3 x 3) is stored in 8 bits instead."""

SHRINKAGES = np.linspace(0.7, 1.0, 13)
"""How far the greatest weight of a block may be cut off in 4 bits, where the others gain more than it loses."""

LARGEST_HALF = float(np.finfo(np.float16).max)

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Weight:
    """A constant to round.

    depth    the axes along which its products are summed: those of one filter
    blocks   whether a filter may have several steps: recurrent layers multiply with it in every step of time, and
             LiteRT would expand it as often
    """

    value: Value
    depth: tuple[int, ...] = ()
    blocks: bool = True


def check_options(scheme: str, block: int | None, recover: Sequence[str], others: Mapping[str, object]) -> None:
    """UsageError TP050 for an option that the scheme has no use for.

    others   {name: value} of the options for activations in codes; None: not given
    """
    if scheme in BITS:
        rounds = BITS[scheme] < 16 and rounding_of(recover) is not None
        used = ("calibration", "samples") if rounds else ()
        given = [name for name, value in others.items() if value is not None and name not in used]
        given += [f"recover {method}" for method in recover if not (rounds and method in ROUNDINGS)]
        if given:
            raise UsageError(
                "TP050",
                f"scheme {scheme} keeps activations in float32 and has no use for {', '.join(given)}",
                help=f"leave {'it' if len(given) == 1 else 'them'} out"
                + ("" if rounds or BITS[scheme] == 16 else "; samples are for recover gptq or adaround"),
            )
        if rounds and others.get("calibration") is None:
            raise UsageError(
                "TP051",
                f"recover {', '.join(recover)} needs samples to see what the weights are multiplied with",
                help="calibration={input name: array of some hundred samples}; --calibration FILE on the command line",
            )
    if block is not None and scheme != "int4-weights":
        raise UsageError("TP050", f"scheme {scheme} has no blocks", help="leave out block, or take scheme int4-weights")
    if block not in (None, *BLOCKS):
        raise UsageError(
            "TP050", f"block {block!r} is not known", help=f"block is one of: {', '.join(map(str, BLOCKS))}"
        )


def store_weights(
    graph: Graph,
    scheme: str,
    *,
    block: int | None = None,
    keep_float: str | Sequence[str] = (),
    recover: Sequence[str] = (),
    calibration: Calibration | None = None,
    samples: int | None = None,
) -> Graph:
    """A copy of ``graph`` whose weights are rounded to what ``scheme`` stores.

    block        weights in a row that share a step ("int4-weights"); 0: all of a filter
    keep_float   patterns of nodes or layers whose weights stay as they are
    recover      "gptq" or "adaround": codes are those that keep the layers' outputs on the ``calibration`` data,
                 ``samples`` of them at most, and not the nearest
    """
    stored = canonical(graph)
    bits, wanted = BITS[scheme], DEFAULT_BLOCK if block is None else block
    patterns = [keep_float] if isinstance(keep_float, str) else list(keep_float)
    check_patterns(stored, stored.nodes, patterns)
    forms: set[StoredForm] = set()
    weights = list(_weights(stored, patterns, every=bits == 16))
    rounding, rows = rounding_of(recover), dict[Value, Array]()
    if rounding is not None and calibration is not None:
        rows = _rows_of(stored, weights, batches_of(graph, calibration, samples))
    for weight in weights:
        array = weight.value.array()
        if bits == 16:
            form, rounded = StoredForm(16), np.asarray(array, np.float16).astype(np.float32)
        else:
            choice = _Choice(rounding, rows[weight.value]) if rounding and weight.value in rows else None
            form, rounded = _in_codes(weight, bits, wanted if weight.blocks else 0, choice)
        stored.replace(weight.value, stored.rebuild_constant(weight.value, rounded))
        forms.add(form)
    if not forms:
        raise UsageError(
            "TP050",
            f"the graph has no weight that {scheme} would store in fewer bits",
            help=f"weights of fewer than {LEAST_CELLS} numbers stay float32: export the graph as it is",
        )
    listed = sorted([form.bits, form.block] for form in forms)
    stored.metadata["quantization"] = {"scheme": scheme, "stored": listed}
    stored.samples = [
        Sample(dict(sample.stored_inputs), stored.run(sample.inputs), dict(sample.recipes)) for sample in graph.samples
    ]
    _tell_loss(graph, stored, scheme)
    return stored


def store_float_layers(graph: Graph, nodes: Collection[str]) -> None:
    """Rounds the weights of layers that stay float in a quantized graph to 8 bits, one step a filter.

    nodes   names of the nodes; a weight that others read as well stays as it is
    """
    chosen = [node for node in graph.nodes if node.name in nodes]
    weights = {weight.value: weight for node in chosen for weight in operands_of(node)}
    forms: set[StoredForm] = set()
    for value, weight in weights.items():
        if all(user in chosen for user in value.users) and _can_be_stored(weight, every=False):
            form, rounded = _in_codes(weight, 8, 0, None)
            graph.replace(value, graph.rebuild_constant(value, rounded))
            forms.add(form)
    if forms:
        graph.metadata["quantization"] = {"stored": sorted([form.bits, form.block] for form in forms)}


def _tell_loss(graph: Graph, stored: Graph, scheme: str) -> None:
    """Notes how far the outputs for the golden samples are from those of the float graph."""
    signal = noise = 0.0
    for before, after in zip(graph.samples, stored.samples, strict=True):
        for name, array in before.outputs.items():
            if array.dtype.kind == "f":
                wanted = array.astype(np.float64)
                signal += float(np.square(wanted).sum())
                noise += float(np.square(after.outputs[name].astype(np.float64) - wanted).sum())
    if not (0 < noise < np.inf and signal > 0):
        return
    decibels = round(10 * math.log10(signal / noise), 1)
    stored.metadata["quantization"] |= {"sqnr_db": decibels}
    told = f"the weights are rounded ({scheme}): outputs for the golden samples are {decibels} dB (SQNR) from float32"
    stored.metadata["notices"] = [*stored.notices, told]


def _weights(graph: Graph, keep_float: Sequence[str], *, every: bool) -> Iterator[Weight]:
    """The constants to round: those that a product reads, or every one; none twice."""
    kept = {value for node in graph.nodes if any(matches(node, p) for p in keep_float) for value in node.inputs}
    seen: set[Value] = set()
    for node in graph.nodes:
        for weight in map(Weight, node.inputs) if every else operands_of(node):
            value = weight.value
            if value not in seen and value not in kept and _can_be_stored(weight, every=every):
                seen.add(value)
                yield weight


def operands_of(node: Node) -> Iterator[Weight]:
    """The operands that a node multiplies its input with, and tables of vectors that it looks up or adds."""
    op, inputs = node.op, node.inputs
    if isinstance(op, Conv | ConvTranspose):
        rank = inputs[1].type.rank
        filters = 1 if isinstance(op, ConvTranspose) and op.layout is Layout.CHANNELS_FIRST else 0
        yield Weight(inputs[1], tuple(axis for axis in range(rank) if axis != filters))
    elif isinstance(op, Linear):
        yield Weight(inputs[1], (1,))
    elif isinstance(op, Recurrent):
        yield Weight(inputs[1], (1,))
        yield Weight(inputs[2], (1,), blocks=False)
    elif isinstance(op, MatMul):
        a, b = (value.type.rank for value in inputs)
        yield Weight(inputs[0], (a - 1,))
        yield Weight(inputs[1], (b - 1 if op.transpose_b else b - 2,))
    elif isinstance(op, Add):
        yield from (Weight(value, (value.type.rank - 1,)) for value in inputs if _is_table(value))
    elif isinstance(op, Gather):
        rank = inputs[0].type.rank
        chosen = normalize_axis(op.axis, rank)
        yield Weight(inputs[0], tuple(axis for axis in range(rank) if axis != chosen))


def _is_table(value: Value) -> bool:
    """Whether it has rows of numbers: vectors of positions, which sequences of a fixed length add; no bias."""
    return value.is_constant and sum(size != 1 for size in value.type.shape) > 1


def _can_be_stored(weight: Weight, *, every: bool) -> bool:
    """Whether it is worth its steps, and its numbers have a form: what is not finite stays as it is."""
    if not weight.value.is_constant or weight.value.type.dtype is not DType.FLOAT32:
        return False
    array = weight.value.array()
    greatest = float(np.abs(array).max(initial=0.0))
    if array.size < LEAST_CELLS or not np.isfinite(greatest):
        return False
    return greatest <= LARGEST_HALF if every else _cells(array, weight.depth) >= LEAST_SHARING


def _cells(array: Array, depth: tuple[int, ...]) -> int:
    return int(np.prod([array.shape[axis] for axis in depth]))


@dataclass(frozen=True)
class _Choice:
    """How codes are chosen for outputs, and the rows [rows, groups, cells] that filters multiply."""

    rounding: Rounding
    rows: Array

    def importance(self, filters: int) -> Floats:
        """[filters, cells]: the mean square of what each weight is multiplied with."""
        squares = np.square(self.rows, dtype=np.float64).mean(0).astype(np.float32)
        return np.repeat(squares, filters // len(squares), axis=0)

    def codes(self, weights: Floats, steps: Floats, bits: int) -> Floats:
        """Codes of weights [filters, cells] in steps of the same shape."""
        grouped = (self.rows.shape[1], -1, weights.shape[1])
        w, by = (array.astype(np.float64).reshape(grouped) for array in (weights, steps))
        return self.rounding(w, by, self.rows, *CODE_RANGES[bits]).reshape(weights.shape).astype(np.float32)


def _rows_of(graph: Graph, weights: Sequence[Weight], batches: Iterable[Mapping[str, Array]]) -> dict[Value, Array]:
    """What each weight's filters multiply, of those that one kind of layer reads."""
    wanted = {weight.value for weight in weights}
    operands = [
        (node, at)
        for node in graph.nodes
        for at, value in enumerate(node.inputs)
        if value in wanted and is_roundable(node, at)
    ]
    seen = look(graph, operands, batches, sampled=True)
    found: dict[Value, list[Array]] = {}
    for node, at in operands:
        found.setdefault(node.inputs[at], []).append(seen.rows[node.name, at])
    return {
        value: np.concatenate(parts)
        for value, parts in found.items()
        if len(parts) == len(value.users) and len({part.shape[1:] for part in parts}) == 1 and len(parts[0])
    }


def _in_codes(weight: Weight, bits: int, block: int, choice: _Choice | None) -> tuple[StoredForm, Floats]:
    """The form that an array takes, and its cells in it: codes times steps."""
    array, depth = np.asarray(weight.value.array(), np.float32), weight.depth
    cells = _cells(array, depth)
    if bits == 4 and cells < LEAST_FOR_4_BITS:
        bits = 8
    shared = _block(cells, block) if bits == 4 and len(depth) == 1 else 0
    last = tuple(range(array.ndim - len(depth), array.ndim))
    moved = np.moveaxis(array, depth, last)
    filters = moved.reshape(-1, cells)
    importance = None if choice is None else choice.importance(len(filters)).reshape(-1, shared or cells)
    steps = _steps(filters.reshape(-1, shared or cells), bits, importance)
    steps = np.repeat(steps, shared or cells).reshape(filters.shape)
    codes = choice.codes(filters, steps, bits) if choice else np.clip(np.rint(filters / steps), *CODE_RANGES[bits])
    rounded = (codes * steps).reshape(moved.shape)
    return StoredForm(bits, shared), np.ascontiguousarray(np.moveaxis(rounded, last, depth))


def _block(cells: int, wanted: int) -> int:
    """The largest block of at most ``wanted`` that leaves no rest; 0 where only small ones do, or one is all."""
    if not wanted or cells <= wanted:
        return 0
    return max((size for size in range(LEAST_BLOCK, wanted + 1) if cells % size == 0), default=0)


def _steps(rows: Floats, bits: int, importance: Floats | None) -> Floats:
    """The step of each row: in 4 bits that, of a few, with the least sum of squared errors, each times its
    ``importance``."""
    least, most = CODE_RANGES[bits]
    greatest = np.abs(rows).max(1).astype(np.float64)
    best = np.zeros(len(rows), np.float32)
    error = np.full(len(rows), np.inf)
    for shrinkage in SHRINKAGES if bits == 4 else (1.0,):
        step = rounded_step(greatest * shrinkage, bits)
        tried = np.clip(np.rint(rows / step[:, None]), least, most) * step[:, None]
        squares = np.square(tried - rows, dtype=np.float64)
        lost = (squares if importance is None else squares * importance).sum(1)
        better = lost < error
        best[better], error[better] = step[better], lost[better]
    return best
