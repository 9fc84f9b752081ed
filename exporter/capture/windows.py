"""ATen ops that cut windows out of a tensor, or put them back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..graph import Dim, Value
from ..ops import (
    Concat,
    ConvTranspose,
    Gather,
    Pad,
    Reshape,
    Slice,
    Transpose,
)
from .context import Context, spread
from .registry import captures


@captures("unfold", "unfold_copy")
def unfold(context: Context, x: Value, axis: int, size: Dim, step: Dim) -> Value:
    """Windows along an axis, their cells along a new last one."""
    width, every = context.static(size, "the size of a window"), context.static(step, "the step between windows")
    if x.type.rank == 0:
        return context.add(Reshape((width,)), x)
    axis %= x.type.rank
    context.at_least.append((x.type.shape[axis], width))
    count = context.result_shape()[axis]
    if isinstance(count, int):
        places = np.arange(count)[:, None] * every + np.arange(width)
        y = context.add(Gather(axis), x, context.constant(places))
        return _last(context, y, axis + 1)
    stops = [start + (count - 1) * every + 1 for start in range(width)]
    lines = [context.add(Slice((axis,), (i,), (stop,), (every,)), x) for i, stop in enumerate(stops)]
    shape = context.result_shape()[:-1]
    return context.add(Concat(len(shape)), *(context.add(Reshape((*shape, 1)), line) for line in lines))


def _last(context: Context, x: Value, axis: int) -> Value:
    """x with one of its axes at the end."""
    perm = (*(i for i in range(x.type.rank) if i != axis), axis)
    return x if perm == tuple(range(x.type.rank)) else context.add(Transpose(perm), x)


@captures("im2col")
def im2col(
    context: Context,
    x: Value,
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Value:
    """[N, C, H, W] → [N, C*kh*kw, windows]: a strided slice for each cell of the window."""
    batched = x if x.type.rank == 4 else context.add(Reshape((1, *x.type.shape)), x)
    (kh, kw), (dh, dw), (ph, pw), (sh, sw) = (spread(v, 2) for v in (kernel, dilation, padding, stride))
    if ph or pw:
        batched = context.add(Pad((0, 0, ph, pw), (0, 0, ph, pw)), batched)
    n, channels, height, width = batched.type.shape
    context.at_least += [(height, dh * (kh - 1) + 1), (width, dw * (kw - 1) + 1)]
    rows, columns = (height - dh * (kh - 1) - 1) // sh + 1, (width - dw * (kw - 1) - 1) // sw + 1
    cells = []
    for i in range(kh):
        for j in range(kw):
            stops = (i * dh + (rows - 1) * sh + 1, j * dw + (columns - 1) * sw + 1)
            cell = context.add(Slice((2, 3), (i * dh, j * dw), stops, (sh, sw)), batched)
            cells.append(context.add(Reshape((n, channels, 1, rows * columns)), cell))
    together = context.add(Concat(2), *cells) if len(cells) > 1 else cells[0]
    return context.add(Reshape(context.result_shape()), together)


@captures("col2im")
def col2im(
    context: Context,
    x: Value,
    size: Sequence[Dim],
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Value:
    """[N, C*kh*kw, windows] → [N, C, H, W]: a transposed convolution that spreads each window unweighted."""
    (kh, kw), (dh, dw), (ph, pw), (sh, sw) = (spread(v, 2) for v in (kernel, dilation, padding, stride))
    height, width = size
    rows, columns = (height + 2 * ph - dh * (kh - 1) - 1) // sh + 1, (width + 2 * pw - dw * (kw - 1) - 1) // sw + 1
    n: Dim = x.type.shape[0] if x.type.rank == 3 else 1
    cells = context.static(x.type.shape[-2], "the number of channels")
    groups = cells // (kh * kw)
    windows = context.add(Reshape((n, cells, rows, columns)), x)
    weight = np.zeros((groups, kh * kw, 1, kh, kw), x.type.dtype.numpy)
    for i in range(kh * kw):
        weight[:, i, 0, i // kw, i % kw] = 1
    # What the windows leave over at the end of the image is no part of any: there the result goes on with zeros.
    spare = [
        s + 2 * p - d * (k - 1) - 1 - (c - 1) * t
        for s, p, d, k, c, t in zip(
            (height, width), (ph, pw), (dh, dw), (kh, kw), (rows, columns), (sh, sw), strict=True
        )
    ]
    after = [p - context.static(rest, "the size of the image") for p, rest in zip((ph, pw), spare, strict=True)]
    op = ConvTranspose((sh, sw), ((ph, after[0]), (pw, after[1])), (dh, dw), groups)
    y = context.add(op, windows, context.constant(weight.reshape(cells, 1, kh, kw)))
    shape = context.result_shape()
    return y if y.type.shape == shape else context.add(Reshape(shape), y)
