"""ATen resampling."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph import Value
from ..ops import Resize, ResizeMode
from .context import Context
from .registry import captures


@captures("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d")
def nearest(context: Context, x: Value, size: object, *scales: object) -> Value:
    return _resized(context, x, ResizeMode.NEAREST, False, scales)


@captures("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d")
def bilinear(context: Context, x: Value, size: object, align_corners: bool, *scales: object) -> Value:
    return _resized(context, x, ResizeMode.BILINEAR, bool(align_corners), () if align_corners else scales)


def _resized(context: Context, x: Value, mode: ResizeMode, align_corners: bool, scales: Sequence[object]) -> Value:
    """torch computes positions with the scale factor it was given, a graph with the sizes: they have to agree."""
    sizes = context.result_shape()[2:]
    given = [scale for item in scales for scale in (item if isinstance(item, list) else [item]) if scale is not None]
    for axis, (scale, size) in enumerate(zip(given, sizes, strict=False), start=2):
        before = x.type.shape[axis]
        whole = isinstance(scale, float) and scale.is_integer() and before * int(scale) == size
        if not whole and not (isinstance(before, int) and isinstance(scale, float) and before * scale == size):
            raise context.error(
                "TP202",
                f"scale_factor {scale} takes {before} cells to {size}, which is another factor",
                "pass size= instead, or recompute_scale_factor=True",
            )
    return context.add(Resize(sizes, mode, align_corners), x)
