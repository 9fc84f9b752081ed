"""Weights in the order in which the kernels read them.

A *panel* is 8 output columns wide: the tile of the kernels computes that many at once. The last panel is filled up with
zeros, and so is the bias.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...exporter.graph import Array

PANEL = 8
"""Columns in a panel (PANEL in kernels/tile.h)."""

LANES = 4
"""float32 values in a vector."""

Floats = npt.NDArray[np.float32]


def round_up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


def pack_panels(weight: Array) -> Floats:
    """[columns, depth] → [ceil(columns/8), depth, 8], and no other copy: the last layer may be half of all weights"""
    columns, depth = weight.shape
    full = columns // PANEL
    packed = np.zeros((round_up(columns, PANEL) // PANEL, depth, PANEL), np.float32)
    packed[:full] = weight[: full * PANEL].reshape(full, PANEL, depth).transpose(0, 2, 1)
    if columns % PANEL:
        packed[full, :, : columns % PANEL] = weight[full * PANEL :].T
    return packed


def pack_gates(weight: Array, gates: int) -> Floats:
    """[gates * H, H] → [ceil(H/8), H, gates * 8]: the columns of all gates for 8 units; of one gate, 32 units."""
    hidden = weight.shape[1]
    pieces, units = (gates, PANEL) if gates > 1 else (1, 4 * PANEL)
    columns = np.zeros((gates, round_up(hidden, units), hidden), np.float32)
    columns[:, :hidden] = weight.reshape(gates, hidden, hidden)
    blocks = columns.reshape(pieces, -1, units, hidden).transpose(1, 3, 0, 2)
    return np.ascontiguousarray(blocks).reshape(len(blocks), hidden, pieces * units)


def pack_filters(weight: Array, groups: int) -> Floats:
    """[O, kh, kw, I/groups] → [groups, ceil(O/groups/8), kh, kw, I/groups, 8]"""
    outputs = weight.shape[0] // groups
    return _joined([pack_panels(part.reshape(outputs, -1)) for part in np.split(weight, groups)])


def pack_transposed_filters(weight: Array, groups: int) -> Floats:
    """[O/groups, kh, kw, I] → [groups, ceil(O/groups/8), kh, kw, I/groups, 8]"""
    outputs = weight.shape[0]
    return _joined([pack_panels(part.reshape(outputs, -1)) for part in np.split(weight, groups, axis=3)])


def _joined(parts: list[Floats]) -> Floats:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def pack_depthwise(weight: Array) -> Floats:
    """[C, kh, kw, 1] → [kh, kw, C up to a multiple of 4]"""
    channels, height, width, _ = weight.shape
    packed = np.zeros((height, width, round_up(channels, LANES)), np.float32)
    packed[..., :channels] = weight[..., 0].transpose(1, 2, 0)
    return packed


def pack_bias(bias: Array | None, columns: int, *, groups: int = 1, multiple: int = PANEL) -> Floats:
    """[columns] or None (zeros) → [groups * (columns/groups up to a multiple)]"""
    width = columns // groups
    packed = np.zeros((groups, round_up(width, multiple)), np.float32)
    if bias is not None:
        packed[:, :width] = bias.reshape(groups, width)
    return packed.reshape(-1)
