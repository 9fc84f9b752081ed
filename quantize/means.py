"""Scales at which no mean of a whole image comes near a tie, so that every kernel for means gives the same codes.

A convolution gives these codes at any scale (windows.py), but takes ten times as long (targets/means.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..exporter.graph import Node, Quantization
from ..exporter.ops import AveragePool, ReduceMean
from ..exporter.ops.quantized import mean_margin, means_are_untied

MOST_CELLS = 2**14
"""Of an image; the check goes through all sums of their codes."""

MOST_RAISED = 1.02
"""Of a scale: what a faster kernel may cost in resolution."""

TRIES = 4


def cells_of_mean(node: Node) -> int | None:
    """Cells that a mean goes over; None for what is no mean of one whole image."""
    op, shape = node.op, node.inputs[0].type.shape
    if isinstance(op, ReduceMean):
        sizes = [shape[axis] for axis in op.axes]
    elif isinstance(op, AveragePool):
        sizes = [shape[axis] for axis in op.layout.spatial_axes(len(shape))]
        if tuple(sizes) != op.kernel:
            return None
    else:
        return None
    cells = math.prod(size for size in sizes if isinstance(size, int))
    return cells if all(isinstance(size, int) for size in sizes) and 1 < cells <= MOST_CELLS else None


def untied_scales(cells: int, of: Quantization, to: Quantization) -> Iterator[float]:
    """The scale of ``to`` and slightly larger ones at which no mean of ``cells`` codes of ``of`` comes near a tie.

    One step of the sum is of.scale / (cells * to.scale) steps of the result. Where that is p / q and q is odd, the
    results are at least 1 / 2q from a tie.
    """
    if means_are_untied(cells, of, to):
        yield to.scale
        return
    wanted, largest = cells * to.scale / of.scale, 1 / (2 * mean_margin(of, to))
    found = set()
    for p in range(1, max(int(largest / wanted), 1) + 1):
        q = math.ceil(wanted * p) | 1
        if q <= largest and q <= wanted * p * MOST_RAISED:
            found.add(float(np.float32(of.scale * q / (cells * p))))
    for scale in sorted(found)[:TRIES]:
        if means_are_untied(cells, of, Quantization(scale, to.zero_point)):
            yield scale
