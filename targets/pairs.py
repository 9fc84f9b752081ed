"""Which filters ONNX Runtime multiplies exactly as int8 on every processor.

On x86 its kernels for uint8 x int8 are the fast ones: with VNNI several times faster than those for uint8 x uint8. On
processors without VNNI, however, they add the products of two neighbouring cells in 16 bits (vpmaddubsw), where
255 * 128 still fits and 255 * 129 saturates: wrong numbers, which no scale can mend. Where no two neighbours of a
filter add up to more than 128, both give the same integers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ..exporter.graph import Array
from ..exporter.ops import Conv, Layout, Linear

Rows = npt.NDArray[Any]

LARGEST_PAIR = 128
"""The sum of two neighbouring codes, in either direction."""


def fits_in_pairs(op: Conv | Linear, codes: Array, channels: int) -> bool:
    """Whether int8 filters give the same sums with and without VNNI.

    channels   of the input
    """
    if not multiplies_in_pairs(op, codes, channels):
        return True
    even, odd = neighbours(in_kernel_order(op, codes))
    return bool((np.abs(np.add(even, odd, dtype=np.int16)) <= LARGEST_PAIR).all())


def multiplies_in_pairs(op: Conv | Linear, weight: Array, channels: int) -> bool:
    """False for one filter a channel: such a convolution has a kernel of its own, which adds in 32 bits."""
    return not (isinstance(op, Conv) and op.groups > 1 and op.groups == channels == weight.shape[0])


def in_kernel_order(op: Conv | Linear, weight: Array) -> Rows:
    """[O, K]: each filter's cells in the order in which they are multiplied, channels within kernel positions."""
    if isinstance(op, Conv) and op.layout is Layout.CHANNELS_FIRST:
        weight = np.moveaxis(weight, 1, -1)
    return weight.reshape(weight.shape[0], math.prod(weight.shape[1:]))


def neighbours(rows: Rows) -> tuple[Rows, Rows]:
    """Of [O, K] the first and the second of each pair, [O, ceil(K / 2)] each; a last one alone is beside 0."""
    even = rows[:, 0::2]
    return even, np.pad(rows[:, 1::2], ((0, 0), (0, rows.shape[1] % 2)))


def from_kernel_order(op: Conv | Linear, rows: Rows, shape: tuple[int, ...]) -> Rows:
    """What `in_kernel_order` made such rows of, in its own shape."""
    if isinstance(op, Conv) and op.layout is Layout.CHANNELS_FIRST:
        return np.ascontiguousarray(np.moveaxis(rows.reshape(shape[0], *shape[2:], shape[1]), -1, 1))
    return rows.reshape(shape)
