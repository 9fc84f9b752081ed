"""Layers that change height and width: padding, cropping, upsampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch.nn.functional as F
from torch import Tensor

from ..structure import Shape, format_shape
from .arguments import BaseArguments
from .base import Layer
from .order import to_channels_first, to_channels_last
from .windows import channels_last, sizes

Borders = int | Sequence[int] | Sequence[Sequence[int]]


def _borders(layer: Layer, value: Any, rank: int, what: str) -> tuple[tuple[int, int], ...]:
    """``1`` → ((1, 1), (1, 1)); ``(1, 2)`` → ((1, 1), (2, 2)) in two dimensions, ((1, 2),) in one; pairs stay pairs."""
    if isinstance(value, int):
        pairs: list[Any] = [(value, value)] * rank
    elif rank == 1 and len(value) == 2 and all(isinstance(item, int) for item in value):
        pairs = [tuple(value)]
    else:
        pairs = [(item, item) if isinstance(item, int) else tuple(item) for item in value]
    if len(pairs) != rank or any(len(pair) != 2 or min(pair) < 0 for pair in pairs):
        layer._refuse(f"{what} has to be one number, {rank} numbers or {rank} pairs; received {value!r}", code="TP010")
    return tuple((int(before), int(after)) for before, after in pairs)


class _ZeroPadding(Layer):
    rank: int

    def __init__(self, padding: Borders = 1, data_format: str | None = None, **base: Unpack[BaseArguments]) -> None:
        super().__init__(**base)
        self.padding = _borders(self, padding, self.rank, "padding")
        self.data_format = channels_last(data_format)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        spatial = zip(input_shape[1:-1], self.padding, strict=True)
        grown = [None if size is None else size + before + after for size, (before, after) in spatial]
        return (input_shape[0], *grown, input_shape[-1])

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, [0, 0, *(amount for pair in reversed(self.padding) for amount in pair)])


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after the steps: x [batch, steps, channels]. ``padding``: a number or (before, after)."""

    rank = 1
    input_rank = 3


class ZeroPadding2D(_ZeroPadding):
    """Zeros around images: x [batch, height, width, channels].

    ``padding`` is one number, (rows, columns) or ((top, bottom), (left, right)).
    """

    rank = 2
    input_rank = 4


class ZeroPadding3D(_ZeroPadding):
    """Zeros around volumes: x [batch, depth, height, width, channels]; ``padding`` is one number, three, or pairs."""

    rank = 3
    input_rank = 5


class _Cropping(Layer):
    rank: int

    def __init__(self, cropping: Borders = 1, data_format: str | None = None, **base: Unpack[BaseArguments]) -> None:
        super().__init__(**base)
        self.cropping = _borders(self, cropping, self.rank, "cropping")
        self.data_format = channels_last(data_format)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        spatial = zip(input_shape[1:-1], self.cropping, strict=True)
        left = [None if size is None else size - before - after for size, (before, after) in spatial]
        if any(size is not None and size < 1 for size in left):
            self._refuse(f"crops {self.cropping} off an input of {format_shape(input_shape)}: nothing is left")
        return (input_shape[0], *left, input_shape[-1])

    def forward(self, x: Tensor) -> Tensor:
        for axis, (before, after) in enumerate(self.cropping, start=1):
            if before or after:
                x = x.narrow(axis, before, x.shape[axis] - before - after)
        return x


class Cropping1D(_Cropping):
    """Steps cut off both ends: x [batch, steps, channels]."""

    rank = 1
    input_rank = 3


class Cropping2D(_Cropping):
    """Borders cut off images: x [batch, height, width, channels]."""

    rank = 2
    input_rank = 4


class Cropping3D(_Cropping):
    """Borders cut off volumes: x [batch, depth, height, width, channels]."""

    rank = 3
    input_rank = 5


class UpSampling1D(Layer):
    """Each step ``size`` times: x [batch, steps, channels] → y [batch, steps·size, channels]."""

    input_rank = 3

    def __init__(self, size: int = 2, **base: Unpack[BaseArguments]) -> None:
        super().__init__(**base)
        self.size = sizes(size, 1, "size")[0]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        steps = input_shape[1]
        return (input_shape[0], None if steps is None else steps * self.size, input_shape[2])

    def forward(self, x: Tensor) -> Tensor:
        return to_channels_last(F.interpolate(to_channels_first(x), size=[x.shape[1] * self.size], mode="nearest"))


class UpSampling2D(Layer):
    """Larger images: x [batch, height, width, channels] → y [batch, height·size[0], width·size[1], channels].

    ``nearest`` repeats rows and columns; ``bilinear`` interpolates between the centres of cells (half-pixel centres).
    """

    input_rank = 4

    def __init__(
        self,
        size: int | Sequence[int] = 2,
        data_format: str | None = None,
        interpolation: str = "nearest",
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(**base)
        self.size = sizes(size, 2, "size")
        self.data_format = channels_last(data_format)
        if interpolation not in ("nearest", "bilinear"):
            self._refuse(f"interpolation has to be 'nearest' or 'bilinear'; received {interpolation!r}", code="TP010")
        self.interpolation = interpolation

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        grown = [None if n is None else n * factor for n, factor in zip(input_shape[1:-1], self.size, strict=True)]
        return (input_shape[0], *grown, input_shape[-1])

    def forward(self, x: Tensor) -> Tensor:
        size = [x.shape[1] * self.size[0], x.shape[2] * self.size[1]]
        smooth = False if self.interpolation == "bilinear" else None
        return to_channels_last(
            F.interpolate(to_channels_first(x), size, mode=self.interpolation, align_corners=smooth)
        )


class UpSampling3D(Layer):
    """Each cell of a volume repeated: x [batch, depth, height, width, channels]; ``size`` is one number or three."""

    input_rank = 5

    def __init__(
        self, size: int | Sequence[int] = 2, data_format: str | None = None, **base: Unpack[BaseArguments]
    ) -> None:
        super().__init__(**base)
        self.size = sizes(size, 3, "size")
        self.data_format = channels_last(data_format)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        grown = [None if n is None else n * factor for n, factor in zip(input_shape[1:-1], self.size, strict=True)]
        return (input_shape[0], *grown, input_shape[-1])

    def forward(self, x: Tensor) -> Tensor:
        size = [n * factor for n, factor in zip(x.shape[1:-1], self.size, strict=True)]
        return to_channels_last(F.interpolate(to_channels_first(x), size, mode="nearest"))
