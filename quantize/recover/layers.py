"""What layers read while calibration data run: the mean of each channel, and rows of what a filter multiplies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...exporter.errors import UsageError
from ...exporter.graph import Array, Graph, Node, Value
from ...exporter.ops import Conv, ConvTranspose, Layout, Linear, MatMul
from ...exporter.ops.recurrent import Recurrent
from ..engine import Engine, showing

ROWS = 2048
"""Rows of a layer that are kept: output positions of samples, chosen at random."""

Floats = npt.NDArray[np.float64]

Operand = tuple[Node, int]
"""A node, and which of its inputs is the weight."""


@dataclass
class Layers:
    """Means and samples of what layers read, from the float graph.

    both by node name and operand:
    means   of each channel
    rows    [rows, groups, cells], cells in the order of the weight's own axes
    """

    means: dict[tuple[str, int], Floats]
    rows: dict[tuple[str, int], Array]


def look(graph: Graph, operands: Sequence[Operand], batches: Iterable[Mapping[str, Array]], *, sampled: bool) -> Layers:
    """Runs the batches once; keeps per-channel means, and where ``sampled`` some of what each filter multiplies.

    raises   UsageError TP051 when there are no samples, or a layer reads NaN or infinity
    """
    if not operands:
        return Layers({}, {})
    shown = {_reads(node, operand).name: None for node, operand in operands}
    names = {f"x{i}": name for i, name in enumerate(shown)}
    outputs = {name: output for output, name in names.items()}
    engine = Engine(showing(graph, names))
    sums: dict[tuple[str, int], Floats] = {}
    counts: dict[tuple[str, int], int] = {}
    rows: dict[tuple[str, int], list[Array]] = {}
    random = np.random.default_rng(0)
    number = -1
    for number, batch in enumerate(batches):
        results = engine.run(batch)
        for node, operand in operands:
            x = results[outputs[_reads(node, operand).name]]
            check_reads(node, x)
            flat = np.moveaxis(x, channel_axis(node), -1)
            flat = flat.reshape(-1, flat.shape[-1])
            key = node.name, operand
            sums[key] = sums.get(key, 0.0) + flat.sum(0, dtype=np.float64)
            counts[key] = counts.get(key, 0) + len(flat)
            if sampled:
                found = rows_of(node, operand, x, random, max(64, ROWS // (number + 1)))
                rows.setdefault(key, []).append(found)
    if number < 0:
        raise no_samples()
    return Layers(
        {key: total / counts[key] for key, total in sums.items()},
        {key: _thinned(np.concatenate(parts), random) for key, parts in rows.items()},
    )


def channel_axis(node: Node) -> int:
    """The axis of what the weight is multiplied with along which its cells run."""
    rank = node.inputs[0].type.rank
    return node.op.layout.channel_axis(rank) if isinstance(node.op, Conv | ConvTranspose) else rank - 1


def is_roundable(node: Node, operand: int) -> bool:
    """Whether `rows_of` knows what the filters multiply."""
    op, weight = node.op, node.inputs[operand]
    if isinstance(op, ConvTranspose):
        return op.groups == 1
    if isinstance(op, MatMul):
        return operand == 1 and weight.type.rank == 2
    return isinstance(op, Conv | Linear | Recurrent)


def rows_of(node: Node, operand: int, x: Array, random: np.random.Generator, count: int) -> Array:
    """About ``count`` rows of what each filter multiplies, chosen at random: [rows, groups, cells]"""
    op = node.op
    if isinstance(op, Conv | ConvTranspose):
        return _windows(node, x, random, count)
    if isinstance(op, Recurrent) and operand == 2:  # the states; that before the first step is a constant
        x = x[1:] if op.reverse else x[:-1]
    flat = x.reshape(-1, x.shape[-1])
    return flat[random.integers(0, max(len(flat), 1), min(count, len(flat)))][:, None, :]


def _reads(node: Node, operand: int) -> Value:
    """What the weight is multiplied with; of a recurrent layer's state, its outputs."""
    return node.outputs[0] if isinstance(node.op, Recurrent) and operand == 2 else node.inputs[0]


def _windows(node: Node, x: Array, random: np.random.Generator, count: int) -> Array:
    """What stands under a filter at some places; a transposed convolution runs over x with zeros in between."""
    op = node.op
    assert isinstance(op, Conv | ConvTranspose)
    last = op.layout is Layout.CHANNELS_LAST
    first = np.moveaxis(x, -1, 1) if last else x
    kernel = op.kernel(node.inputs[1].type)
    reach = [dilation * (k - 1) for dilation, k in zip(op.dilation, kernel, strict=True)]
    if isinstance(op, ConvTranspose):
        first, stride = _spread(first, op, reach), (1,) * len(kernel)
    else:
        first, stride = np.pad(first, [(0, 0), (0, 0), *op.padding]), op.stride
    sizes = [(n - r - 1) // s + 1 for n, r, s in zip(first.shape[2:], reach, stride, strict=True)]
    places = len(first) * int(np.prod(sizes))
    sample, *corner = np.unravel_index(random.integers(0, places, min(count, places)), (len(first), *sizes))
    taps = []
    for tap in np.ndindex(*kernel):
        if isinstance(op, ConvTranspose):  # the last tap meets the first cell
            tap = tuple(k - 1 - t for k, t in zip(kernel, tap, strict=True))
        at = [c * s + t * d for c, s, t, d in zip(corner, stride, tap, op.dilation, strict=True)]
        cells = first[(sample, slice(None), *at)]
        taps.append(cells.reshape(len(sample), op.groups, -1))
    return np.stack(taps, 2 if last else 3).reshape(len(sample), op.groups, -1)


def _spread(x: Array, op: ConvTranspose, reach: Sequence[int]) -> Array:
    """x with stride - 1 zeros between its cells, and as many around them as the filter reaches beyond what is cut."""
    sizes = [(n - 1) * s + 1 for n, s in zip(x.shape[2:], op.stride, strict=True)]
    spread = np.zeros((*x.shape[:2], *sizes), x.dtype)
    every = tuple(slice(None, None, s) for s in op.stride)
    spread[(slice(None), slice(None), *every)] = x
    edges = [(r - before, r - after) for r, (before, after) in zip(reach, op.padding, strict=True)]
    spread = np.pad(spread, [(0, 0), (0, 0), *((max(a, 0), max(b, 0)) for a, b in edges)])
    kept = (slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(spread.shape[2:], edges, strict=True))
    return spread[(slice(None), slice(None), *kept)]


def _thinned(rows: Array, random: np.random.Generator) -> Array:
    return rows if len(rows) <= ROWS else rows[random.permutation(len(rows))[:ROWS]]


def no_samples() -> UsageError:
    return UsageError(
        "TP051",
        "calibration has no samples: every array is empty, or none was asked for",
        help="pass some hundred real samples, preprocessed as the model takes them",
    )


def check_reads(node: Node, x: Array) -> None:
    """UsageError TP051 when what a layer reads in float32 is not finite."""
    if not np.isfinite(x).all():
        raise UsageError(
            "TP051",
            f"{node.describe()} reads NaN or infinity on the calibration data",
            at=str(node.source) or None,
            help="leave samples out that are not finite; a model that makes such numbers of finite ones is broken",
        )
