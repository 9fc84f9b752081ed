"""Windows along a spatial axis, for formats that compute their padding from the sizes.

TensorFlow's formats know two schemes: VALID pads nothing; SAME as much as gives ``ceil(size / stride)`` windows, the
smaller half in front. Here is when one of them is exactly what a graph asks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from ..exporter.graph import Array, Dim, TensorType, Value
from ..exporter.ops import Add, AveragePool, Layout, Mul, Pad, Pow, Reshape, Slice, Transpose


@dataclass(frozen=True)
class Window:
    """What slides along one spatial axis.

    size     free or known size of the input along the axis
    extent   cells from the first to the last tap: dilation * (kernel - 1) + 1
    """

    size: Dim
    extent: int
    stride: int
    before: int
    after: int

    @property
    def count(self) -> Dim:
        """Number of positions, the size of the output."""
        return (self.size + self.before + self.after - self.extent) // self.stride + 1

    def is_valid(self) -> bool:
        """Whether VALID gives exactly these positions; a padding cell that no window reaches does not count."""
        return self.before == 0 and (self.size - self.extent) // self.stride + 1 == self.count

    def is_same(self) -> bool:
        """Whether SAME gives exactly these positions, for every size: what it does depends on ``size % stride``."""
        rest = self.size % self.stride
        return all(self._is_same(rest) for rest in ([rest] if isinstance(rest, int) else range(self.stride)))

    def _is_same(self, rest: int) -> bool:
        """`is_same` for the sizes ``q * stride + rest``, however large."""
        steps = 1 if rest else 0
        needed = (steps - 1) * self.stride + self.extent - rest
        count = (rest + self.before + self.after - self.extent) // self.stride + 1
        return count == steps and self.before == max(needed, 0) // 2

    def needed_after(self) -> int:
        """Padding cells behind the input that a window reaches; what is asked for where the size is free."""
        reached = (self.count - 1) * self.stride + self.extent - self.before - self.size
        return max(reached, 0) if isinstance(reached, int) else self.after


def windows(
    x: TensorType, extents: tuple[int, ...], stride: tuple[int, ...], padding: tuple[tuple[int, int], ...]
) -> tuple[Window, ...]:
    """The windows of a channels-last op along its spatial axes."""
    axes = Layout.CHANNELS_LAST.spatial_axes(x.rank)
    return tuple(
        Window(x.shape[axis], extent, step, before, after)
        for axis, extent, step, (before, after) in zip(axes, extents, stride, padding, strict=True)
    )


def share_of_padding(along: tuple[Window, ...]) -> Array:
    """What a mean over all cells of a window must be multiplied by to leave out padding: [1, H', W', 1]."""
    factors = []
    for window in along:
        size, count = cast(int, window.size), cast(int, window.count)
        first = np.arange(count) * window.stride - window.before
        cells = np.minimum(first + window.extent, size) - np.maximum(first, 0)
        factors.append(window.extent / cells)
    return np.outer(*factors).astype(np.float32)[np.newaxis, :, :, np.newaxis]


_KEEP_NAN = (Add, AveragePool, Mul, Pad, Reshape, Slice, Transpose)
"""What may stand between the power and the pool: a pool over three axes is written as two."""


def may_be_nan(x: Value) -> bool:
    """Whether x comes of an op that makes NaN of ordinary numbers: a fractional power, as of negative ones.

    XNNPACK's mean over a window that holds NaN is infinite.
    """
    made_by = x.producer
    while made_by is not None and isinstance(made_by.op, _KEEP_NAN):
        made_by = made_by.inputs[0].producer
    if made_by is None or not isinstance(made_by.op, Pow):
        return False
    exponent = made_by.inputs[1]
    return not (exponent.is_constant and np.array_equal(exponent.array(), np.round(exponent.array())))
