"""What layers read while calibration data run: the mean of each channel, and rows of what a filter multiplies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...exporter.graph import Array, Graph, Node
from ...exporter.ops import Conv, Layout, Linear
from ..engine import Engine, showing

ROWS = 2048
"""Rows of a layer that are kept: output positions of samples, chosen at random."""

Floats = npt.NDArray[np.float64]


@dataclass
class Layers:
    """Means and samples of what layers read: {node name: …}, from the float graph."""

    means: dict[str, Floats]
    rows: dict[str, Array]


def look(graph: Graph, nodes: Sequence[Node], batches: Iterable[Mapping[str, Array]], *, sampled: bool) -> Layers:
    """Runs the batches once; keeps per-channel means, and where ``sampled`` some of what each filter multiplies."""
    names = {f"x{i}": node.inputs[0].name for i, node in enumerate(nodes)}
    engine = Engine(showing(graph, names))
    sums: dict[str, Floats] = {}
    counts: dict[str, int] = {}
    rows: dict[str, list[Array]] = {}
    random = np.random.default_rng(0)
    for number, batch in enumerate(batches):
        results = engine.run(batch)
        for i, node in enumerate(nodes):
            x = results[f"x{i}"]
            axis = channel_axis(node)
            flat = np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])
            sums[node.name] = sums.get(node.name, 0.0) + flat.sum(0, dtype=np.float64)
            counts[node.name] = counts.get(node.name, 0) + len(flat)
            if sampled and _is_roundable(node):
                rows.setdefault(node.name, []).append(_windows(node, x, random, max(64, ROWS // (number + 1))))
    return Layers(
        {name: total / counts[name] for name, total in sums.items()},
        {name: _thinned(np.concatenate(parts), random) for name, parts in rows.items()},
    )


def channel_axis(node: Node) -> int:
    rank = node.inputs[0].type.rank
    return node.op.layout.channel_axis(rank) if isinstance(node.op, Conv) else rank - 1


def _is_roundable(node: Node) -> bool:
    """Layers whose rows are few enough cells to be judged: no grouped convolutions but depthwise ones."""
    if isinstance(node.op, Linear):
        return True
    assert isinstance(node.op, Conv)
    depthwise = node.op.groups == node.inputs[1].type.shape[0] and 1 in node.inputs[1].type.shape
    return len(node.op.stride) == 2 and (node.op.groups == 1 or depthwise)


def _windows(node: Node, x: Array, random: np.random.Generator, count: int) -> Array:
    """Rows of what a filter multiplies: [rows, groups or 1, cells of a filter], channels before kernel cells."""
    if isinstance(node.op, Linear):
        flat = x.reshape(-1, x.shape[-1])
        return flat[random.integers(0, len(flat), min(count, len(flat)))][:, None, :]
    op = node.op
    assert isinstance(op, Conv)
    first = x if op.layout is Layout.CHANNELS_FIRST else np.moveaxis(x, -1, 1)
    padded = np.pad(first, [(0, 0), (0, 0), *op.padding])
    kernel = op.kernel(node.inputs[1].type)
    reach = [dilation * (k - 1) + 1 for dilation, k in zip(op.dilation, kernel, strict=True)]
    high, wide = ((padded.shape[2 + i] - reach[i]) // op.stride[i] + 1 for i in range(2))
    at = random.integers(0, len(x) * high * wide, min(count, len(x) * high * wide))
    sample, top, left = at // (high * wide), at // wide % high * op.stride[0], at % wide * op.stride[1]
    taps = [
        padded[sample, :, top + r * op.dilation[0], left + c * op.dilation[1]]
        for r in range(kernel[0])
        for c in range(kernel[1])
    ]
    cells = np.stack(taps, -1)  # [rows, C, kernel cells]
    return cells if op.groups > 1 else cells.reshape(len(at), 1, -1)


def _thinned(rows: Array, random: np.random.Generator) -> Array:
    return rows if len(rows) <= ROWS else rows[random.permutation(len(rows))[:ROWS]]
