"""Pooling windows over one, two or three spatial axes."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph.dims import Dim
from ..graph.types import TensorType
from .base import Layout, OpAttrs
from .conv import Padding, check_padding


@dataclass(frozen=True)
class _Pool(OpAttrs, abstract=True):
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Padding
    dilation: tuple[int, ...]
    layout: Layout = Layout.CHANNELS_FIRST

    def infer(self, *inputs: TensorType) -> TensorType:
        (x,) = inputs
        if x.rank != len(self.kernel) + 2:
            raise self.misfit(f"expects rank {len(self.kernel) + 2}", inputs)
        check_padding(self, self.padding, inputs)
        shape: list[Dim] = list(x.shape)
        for i, axis in enumerate(self.layout.spatial_axes(x.rank)):
            window = self.dilation[i] * (self.kernel[i] - 1) + 1
            size = (x.shape[axis] + sum(self.padding[i]) - window) // self.stride[i] + 1
            if isinstance(size, int) and size < 1:
                raise self.misfit(f"a window of {window} does not fit axis {axis}", inputs)
            shape[axis] = size
        return x.with_shape(tuple(shape))


@dataclass(frozen=True)
class MaxPool(_Pool):
    """Largest value in each window; padding never wins.

    x [N, C, *S]  →  y [N, C, *S'],  S' = floor((S + before + after - dilation*(k-1) - 1) / stride) + 1
    """

    takes_codes = True

    def label(self) -> str:
        return f"max_pool{len(self.kernel)}d"


@dataclass(frozen=True)
class AveragePool(_Pool):
    """Mean of each window.

    x [N, C, *S]  →  y [N, C, *S'],  S' = floor((S + before + after - k) / stride) + 1

    count_include_pad   padding cells count as zeros in the mean; otherwise they are left out of it
    """

    count_include_pad: bool = False

    def label(self) -> str:
        return f"average_pool{len(self.kernel)}d"
