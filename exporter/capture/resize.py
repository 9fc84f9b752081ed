"""ATen resampling."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph import Value
from ..ops import Resize, ResizeMode
from .context import Context
from .phases import Taps
from .registry import captures
from .resample import antialiased, cubic, keys_of_a_half, linear, nearest_exact, resampled, triangle
from .resample import nearest as nearest_taps


@captures("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d")
def nearest(context: Context, x: Value, size: object, *scales: object) -> Value:
    return _resized(context, x, ResizeMode.NEAREST, False, scales, nearest_taps)


@captures("_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d")
def nearest_of_centres(context: Context, x: Value, size: object, *scales: object) -> Value:
    return resampled(context, x, nearest_exact, _by_axis(x, scales), False)


@captures("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d")
def bilinear(context: Context, x: Value, size: object, align_corners: bool, *scales: object) -> Value:
    return _resized(context, x, ResizeMode.BILINEAR, bool(align_corners), () if align_corners else scales, linear)


@captures("upsample_bicubic2d")
def bicubic(context: Context, x: Value, size: object, align_corners: bool, *scales: object) -> Value:
    return resampled(context, x, cubic, _by_axis(x, scales), bool(align_corners))


@captures("_upsample_bilinear2d_aa")
def bilinear_antialiased(context: Context, x: Value, size: object, align_corners: bool, *scales: object) -> Value:
    return antialiased(context, x, triangle, 1.0, _by_axis(x, scales), bool(align_corners))


@captures("_upsample_bicubic2d_aa")
def bicubic_antialiased(context: Context, x: Value, size: object, align_corners: bool, *scales: object) -> Value:
    return antialiased(context, x, keys_of_a_half, 2.0, _by_axis(x, scales), bool(align_corners))


def _by_axis(x: Value, scales: Sequence[object]) -> list[float | None]:
    """The factor given for each spatial axis; None where there is none."""
    listed = [scale for item in scales for scale in (item if isinstance(item, list) else [item])]
    known = [float(scale) if isinstance(scale, int | float) else None for scale in listed]
    return (known + [None] * x.type.rank)[: x.type.rank - 2]


def _resized(
    context: Context, x: Value, mode: ResizeMode, align_corners: bool, scales: Sequence[object], taps: Taps
) -> Value:
    """torch computes positions with the scale factor it was given, `Resize` with the sizes: where these do not agree,
    the cells are picked by number.
    """
    sizes, factors = context.result_shape()[2:], _by_axis(x, scales)
    for before, size, scale in zip(x.type.shape[2:], sizes, factors, strict=True):
        if scale is None:
            continue
        whole = scale.is_integer() and before * int(scale) == size
        if not whole and not (isinstance(before, int) and before * scale == size):
            if mode is ResizeMode.NEAREST and size in (before, before * 2):
                # torch's kernels for small images copy or double such an axis, its other kernels go by the factor
                raise context.error(
                    "TP202",
                    f"scale_factor {scale} takes {before} cells to {size}, where torch's answer depends on its kernel",
                    "pass size= instead, or recompute_scale_factor=True",
                )
            return resampled(context, x, taps, factors, align_corners)
    return context.add(Resize(sizes, mode, align_corners), x)
