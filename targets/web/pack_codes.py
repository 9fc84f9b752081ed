"""Weight codes in the order in which the quantized kernels read them.

A panel is 8 output columns wide; of each column it holds two neighbouring weights side by side, since one instruction
multiplies two (kernels/q_tile.h). What fills up the last panel, and the last pair of a tap, is zeros.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...exporter.graph import Array
from .pack import PANEL, round_up

Codes = npt.NDArray[np.int8]


def pack_codes(weight: Array, groups: int = 1) -> Codes:
    """[columns, taps, cells] → [groups * ceil(columns/groups/8), taps, ceil(cells/2), 8, 2]"""
    columns, taps, cells = weight.shape
    width = columns // groups
    panels = round_up(width, PANEL) // PANEL
    padded = np.zeros((groups, panels * PANEL, taps, round_up(cells, 2)), np.int8)
    padded[:, :width, :, :cells] = weight.reshape(groups, width, taps, cells)
    pairs = padded.reshape(groups * panels, PANEL, taps, -1, 2)
    return np.ascontiguousarray(pairs.transpose(0, 2, 3, 1, 4))


def pack_columns(values: Array, groups: int = 1) -> Array:
    """[columns] → [groups * (columns/groups up to a multiple of 8)]"""
    width = values.size // groups
    padded = np.zeros((groups, round_up(width, PANEL)), values.dtype)
    padded[:, :width] = values.reshape(groups, width)
    return padded.reshape(-1)


def pack_table(table: Array) -> Array:
    """[256] by code from -128 on → by the code's byte: 0 … 127, -128 … -1"""
    return np.roll(table, -128)
