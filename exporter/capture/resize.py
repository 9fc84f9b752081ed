"""ATen resampling."""

from __future__ import annotations

from ..graph import Value
from ..ops import Resize, ResizeMode
from .context import Context
from .registry import captures


@captures("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d")
def nearest(context: Context, x: Value, *_: object) -> Value:
    return context.add(Resize(context.result_shape()[2:], ResizeMode.NEAREST), x)


@captures("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d")
def bilinear(context: Context, x: Value, size: object, align_corners: bool, *_: object) -> Value:
    return context.add(Resize(context.result_shape()[2:], ResizeMode.BILINEAR, bool(align_corners)), x)
