"""Transposed convolution taken apart by *phase*, as ordinary convolutions whose results are interleaved.

Along an axis with stride s, the cells j*s, j*s + 1, … s - 1 of the result each are a convolution of the input with
every s-th tap of the kernel, in reverse order. No multiplication is spent on zeros that stride would put between cells.

    stride 2, kernel 4:   y[2q] = x[q] k[0] + x[q-1] k[2],   y[2q + 1] = x[q] k[1] + x[q-1] k[3]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from ..exporter.graph import Array, Dim, Node
from ..exporter.ops import ConvTranspose

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Axis:
    """One spatial axis.

    taps      per phase: (offset in the input, index in the kernel) of each tap
    count     cells of the result per phase; their interleaving is ``crop`` + result + rest
    """

    taps: tuple[tuple[tuple[int, int], ...], ...]
    size: Dim
    count: Dim
    crop: int

    @property
    def first(self) -> int:
        """Offset of the first input cell that a phase reads, relative to the cell's own position."""
        return min((offset for phase in self.taps for offset, _ in phase), default=0)

    @property
    def extent(self) -> int:
        return max((offset for phase in self.taps for offset, _ in phase), default=0) - self.first + 1

    @property
    def padding(self) -> tuple[int, int]:
        """Cells before and after the input; negative ones crop it."""
        return -self.first, cast(int, self.count - self.size) + self.extent - 1 + self.first

    def adds_no_zeros(self, kernel: int) -> bool:
        """Whether one window holds the taps of every phase without gaps."""
        return self.extent * len(self.taps) == kernel


def _along(size: Dim, kernel: int, stride: int, dilation: int, padding: tuple[int, int]) -> Axis:
    """Cells start either at the first kept cell, or earlier where that saves taps and a slice crops the rest."""
    wanted = (size - 1) * stride + dilation * (kernel - 1) + 1 - sum(padding)
    choices = []
    for crop in {0, padding[0] % stride}:
        phases = []
        for phase in range(stride):
            taps = []
            for index in range(kernel):
                offset, rest = divmod(phase + padding[0] - crop - index * dilation, stride)
                if rest == 0:
                    taps.append((offset, index))
            phases.append(tuple(sorted(taps)))
        count = -((-(wanted + crop)) // stride)
        choices.append(Axis(tuple(phases), size, count, crop))
    return min(choices, key=lambda axis: (axis.extent, axis.crop))


def axes_of(node: Node) -> tuple[Axis, Axis]:
    """Height and width of a transposed convolution, channels last."""
    op, (x, weight) = cast(ConvTranspose, node.op), node.inputs[:2]
    kernel = op.kernel(weight.type)
    height, width = (
        _along(x.type.shape[i + 1], kernel[i], op.stride[i], op.dilation[i], op.padding[i]) for i in range(2)
    )
    return height, width


def window(weight: Array, axes: tuple[Axis, Axis], row: int, column: int) -> FloatArray:
    """The filters of one phase: [O/groups, extent, extent, I] with zeros where a phase has fewer taps.

    weight   [O/groups, kh, kw, I]
    """
    height, width = axes
    filters = np.zeros((weight.shape[0], height.extent, width.extent, weight.shape[3]), np.float32)
    for y, kernel_y in height.taps[row]:
        for x, kernel_x in width.taps[column]:
            filters[:, y - height.first, x - width.first] = weight[:, kernel_y, kernel_x]
    return filters
