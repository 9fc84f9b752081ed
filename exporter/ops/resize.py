"""Resampling of images."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..graph.dims import Dim
from ..graph.types import Shape, TensorType
from .base import Layout, OpAttrs


class ResizeMode(Enum):
    """How cells between samples are filled."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"


@dataclass(frozen=True)
class Resize(OpAttrs):
    """Spatial axes resampled to ``size``.

    x [N, C, *S]  →  y [N, C, *size]

    nearest    cell floor(i * S / size)
    bilinear   position (i + 0.5) * S / size - 0.5, clamped to the image (half-pixel centres);
               with align_corners: i * (S - 1) / (size - 1)
    """

    size: Shape
    mode: ResizeMode
    align_corners: bool = False
    layout: Layout = Layout.CHANNELS_FIRST

    def infer(self, *inputs: TensorType) -> TensorType:
        (x,) = inputs
        if x.rank != len(self.size) + 2:
            raise self.misfit(f"expects rank {len(self.size) + 2}", inputs)
        shape: list[Dim] = list(x.shape)
        for axis, size in zip(self.layout.spatial_axes(x.rank), self.size, strict=True):
            shape[axis] = size
        return x.with_shape(tuple(shape))
