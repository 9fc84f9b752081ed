"""Convolution and transposed convolution over one, two or three spatial axes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from ..graph.dims import Dim
from ..graph.types import TensorType
from .base import Activation, Layout, OpAttrs, Perm, to_channels_first, to_channels_last

Padding = tuple[tuple[int, int], ...]
"""(before, after) for each spatial axis."""


def check_padding(op: OpAttrs, padding: Padding, inputs: tuple[TensorType, ...]) -> None:
    """Cells are added; ModelError TP201 where some would be taken away."""
    if min((cells for pair in padding for cells in pair), default=0) < 0:
        raise op.misfit(f"padding has to be 0 or more, got {padding}", inputs)


@dataclass(frozen=True)
class _Spatial(OpAttrs, abstract=True):
    """What both share.

    weight   channels_first: [O, I/groups, *kernel] (transposed conv: [I, O/groups, *kernel])
             channels_last:  [O, *kernel, I/groups] (transposed conv: [O/groups, *kernel, I])
    bias     [O]
    """

    stride: tuple[int, ...]
    padding: Padding
    dilation: tuple[int, ...]
    groups: int = 1
    layout: Layout = Layout.CHANNELS_FIRST
    activation: Activation = Activation.NONE

    operands: ClassVar[tuple[str, ...]] = ("x", "weight", "bias?")

    def kernel(self, weight: TensorType) -> tuple[int, ...]:
        """Size of the window along each spatial axis."""
        shape = weight.static_shape()
        return shape[2:] if self.layout is Layout.CHANNELS_FIRST else shape[1:-1]

    def _spatial_output(self, x: TensorType, channels: Dim, sizes: list[Dim]) -> TensorType:
        if self.layout is Layout.CHANNELS_FIRST:
            return x.with_shape((x.shape[0], channels, *sizes))
        return x.with_shape((x.shape[0], *sizes, channels))

    def _check(self, x: TensorType, weight: TensorType) -> None:
        rank = len(self.stride) + 2
        if x.rank != rank or weight.rank != rank or not len(self.padding) == len(self.dilation) == rank - 2:
            raise self.misfit(f"expects rank {rank}", (x, weight))


@dataclass(frozen=True)
class Conv(_Spatial):
    """Cross-correlation of x with the weight, plus bias.

    x [N, C, *S]  →  y [N, O, *S'],  S' = floor((S + before + after - dilation*(k-1) - 1) / stride) + 1
    """

    def label(self) -> str:
        return f"conv{len(self.stride)}d"

    def is_depthwise(self, x: TensorType, weight: TensorType) -> bool:
        """One filter bank per input channel."""
        return self.groups > 1 and self.groups == x.shape[self.layout.channel_axis(x.rank)]

    def infer(self, *inputs: TensorType) -> TensorType:
        x, weight = inputs[:2]
        self._check(x, weight)
        check_padding(self, self.padding, inputs)
        filters = weight.static_shape()
        per_group = filters[1] if self.layout is Layout.CHANNELS_FIRST else filters[-1]
        channels = x.shape[self.layout.channel_axis(x.rank)]
        if channels != per_group * self.groups or filters[0] % self.groups:
            raise self.misfit(f"{channels} channels in {self.groups} groups do not fit the weight", inputs)
        if len(inputs) == 3 and inputs[2].shape != (filters[0],):
            raise self.misfit(f"bias must have shape [{filters[0]}]", inputs)
        sizes: list[Dim] = []
        for i, axis in enumerate(self.layout.spatial_axes(x.rank)):
            window = self.dilation[i] * (self.kernel(weight)[i] - 1) + 1
            size = (x.shape[axis] + sum(self.padding[i]) - window) // self.stride[i] + 1
            if isinstance(size, int) and size < 1:
                raise self.misfit(f"a window of {window} does not fit axis {axis}", inputs)
            sizes.append(size)
        return self._spatial_output(x, filters[0], sizes)


@dataclass(frozen=True)
class ConvTranspose(_Spatial):
    """The gradient of `Conv` with respect to its input: every input cell spreads a weighted window.

    x [N, C, *S]  →  y [N, O, *S'],  S' = (S-1)*stride + dilation*(k-1) + 1 - before - after

    ``padding`` crops the result; a negative ``after`` extends it (torch's output_padding).
    """

    def label(self) -> str:
        return f"conv_transpose{len(self.stride)}d"

    def infer(self, *inputs: TensorType) -> TensorType:
        x, weight = inputs[:2]
        self._check(x, weight)
        filters = weight.static_shape()
        first = self.layout is Layout.CHANNELS_FIRST
        channels, outputs = (filters[0], filters[1]) if first else (filters[-1], filters[0])
        if x.shape[self.layout.channel_axis(x.rank)] != channels or channels % self.groups:
            raise self.misfit(f"the weight is for {channels} channels", inputs)
        sizes: list[Dim] = []
        for i, axis in enumerate(self.layout.spatial_axes(x.rank)):
            window = self.dilation[i] * (self.kernel(weight)[i] - 1) + 1
            sizes.append((x.shape[axis] - 1) * self.stride[i] + window - sum(self.padding[i]))
        return self._spatial_output(x, outputs * self.groups, sizes)


def weight_perm(op: Conv | ConvTranspose, layout: Layout) -> Perm:
    """How the weight's axes move when the op goes from its own layout to ``layout``."""
    rank = len(op.stride) + 2
    if op.layout is layout:
        return tuple(range(rank))
    if isinstance(op, Conv):
        return to_channels_last(rank) if layout is Layout.CHANNELS_LAST else to_channels_first(rank)
    return (1, *range(2, rank), 0) if layout is Layout.CHANNELS_LAST else (rank - 1, 0, *range(1, rank - 1))


def with_layout(op: Conv | ConvTranspose, layout: Layout) -> Conv | ConvTranspose:
    return replace(op, layout=layout)
