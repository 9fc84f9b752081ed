"""Window ops, and slopes, that a target's kernels do not know, with those that they do. Imported to be registered.

before:  %1 = max_pool2d(%x, dilation 2)
after:   %2 = maximum(%x[0::stride], %x[2::stride], …) for each dilated axis    %1 = max_pool2d(%2) for the rest
"""

from __future__ import annotations

import math
from dataclasses import replace

from ..graph import Dim, Value
from ..ops import Add, AveragePool, Maximum, MaxPool, Minimum, Mul, OpAttrs, Pad, PRelu, Relu, Slice
from .decompose import Rewriter, decomposes


@decomposes(MaxPool)
def _max_pool(r: Rewriter, op: OpAttrs) -> Value:
    """Taps of a dilated window are slices, of which the largest is taken cell by cell."""
    assert isinstance(op, MaxPool)
    y, rest = r.x, op
    for i, axis in enumerate(op.layout.spatial_axes(r.x.type.rank)):
        if op.dilation[i] == 1:
            continue
        y = _largest_tap(r, op, i, axis, padded(r, y, axis, op.padding[i], -math.inf))
        rest = _without_axis(rest, i)
    return y if all(size == 1 for size in rest.kernel + rest.stride) else r(rest, y)


def _largest_tap(r: Rewriter, op: MaxPool, i: int, axis: int, x: Value) -> Value:
    count = r.node.output.type.shape[axis]
    taps = [tap_of(r, x, axis, k * op.dilation[i], count, op.stride[i]) for k in range(op.kernel[i])]
    y = taps[0]
    for tap in taps[1:]:
        y = r(Maximum(), y, tap)
    return y


@decomposes(AveragePool)
def _average_pool(r: Rewriter, op: OpAttrs) -> Value | None:
    """Without padding: the sum of all taps, axis after axis, over their number."""
    assert isinstance(op, AveragePool)
    if any(any(sides) for sides in op.padding):
        return None
    y = r.x
    for i, axis in enumerate(op.layout.spatial_axes(r.x.type.rank)):
        count = r.node.output.type.shape[axis]
        taps = [tap_of(r, y, axis, k, count, op.stride[i]) for k in range(op.kernel[i])]
        y = taps[0]
        for tap in taps[1:]:
            y = r(Add(), y, tap)
    return r(Mul(), y, 1 / math.prod(op.kernel))


def padded(r: Rewriter, x: Value, axis: int, sides: tuple[int, int], value: float) -> Value:
    """``sides`` cells before and after along one axis."""
    if not any(sides):
        return x
    before, after = [0] * x.type.rank, [0] * x.type.rank
    before[axis], after[axis] = sides
    return r(Pad(tuple(before), tuple(after), value), x)


def tap_of(r: Rewriter, x: Value, axis: int, first: int, count: Dim, stride: int) -> Value:
    """The cells that one tap of a window meets along an axis."""
    stop = first + (count - 1) * stride + 1
    if (first, stop, stride) == (0, x.type.shape[axis], 1):
        return x
    return r(Slice((axis,), (first,), (stop,), (stride,)), x)


def _without_axis(op: MaxPool, i: int) -> MaxPool:
    """The pool with windows of one cell along an axis."""

    def one(values: tuple[int, ...]) -> tuple[int, ...]:
        return (*values[:i], 1, *values[i + 1 :])

    padding = (*op.padding[:i], (0, 0), *op.padding[i + 1 :])
    return replace(op, kernel=one(op.kernel), stride=one(op.stride), padding=padding, dilation=one(op.dilation))


@decomposes(PRelu)
def _prelu(r: Rewriter, op: OpAttrs) -> Value:
    """max(x, 0) + slope * min(x, 0)"""
    return r(Add(), r(Relu(), r.x), r(Mul(), r.node.inputs[1], r(Minimum(), r.x, 0.0)))
