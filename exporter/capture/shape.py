"""ATen ops that move cells about. Shapes are read from torch's own result, where free dims are already worked out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ..graph import Dim, Sym, Value
from ..graph.dims import exact_quotient, never_negative
from ..ops import BorderMode, BorderPad, Concat, Pad, Reshape, Slice, Transpose
from .context import Context
from .filled import Filled, takes_filled
from .registry import captures


@captures("view", "reshape", "flatten", "unflatten", "unsqueeze", "squeeze", "_unsafe_view", "view_as", "reshape_as")
def reshape(context: Context, x: Value, *_: object) -> Value:
    shape = context.result_shape()
    return x if shape == x.type.shape else context.add(Reshape(shape), x)


@captures("permute")
def permute(context: Context, x: Value, dims: Sequence[int]) -> Value:
    return context.add(Transpose(tuple(axis % x.type.rank for axis in dims)), x)


@captures("transpose.int", "swapaxes", "swapdims")
def transpose(context: Context, x: Value, first: int, second: int) -> Value:
    perm = list(range(x.type.rank))
    perm[first], perm[second] = perm[second], perm[first]
    return context.add(Transpose(tuple(perm)), x)


@captures("t", "numpy_T")
def reversed_axes(context: Context, x: Value) -> Value:
    return context.add(Transpose(tuple(reversed(range(x.type.rank)))), x)


@captures("mT", "adjoint", "mH")
def matrix_transpose(context: Context, x: Value) -> Value:
    return transpose(context, x, -2, -1)


@captures("slice.Tensor")
@takes_filled
def slice_of(
    context: Context, x: Value | Filled, axis: int, start: Dim | None, stop: Dim | None, step: Dim = 1
) -> Value | Filled:
    """A slice as Python means it: torch has settled where free bounds count from and whether they reach the end.

    What it settled shows in the size of its result: x[-512:] of a free axis is all of it where that is so long.
    """
    if isinstance(x, Filled):
        return Filled(x.number, x.type.with_shape(context.result_shape()))
    axis %= x.type.rank
    every = context.static(step, "the step of a slice")
    found = bounds(x.type.shape[axis], start, stop, context.result_shape()[axis], every)
    return slice_(context, x, axis, *(found or (start, stop)), every)


def bounds(size: Dim, start: Dim | None, stop: Dim | None, width: Dim, step: int = 1) -> tuple[Dim, Dim] | None:
    """From where to where ``start:stop:step`` goes on an axis, knowing that it holds ``width`` cells; None: unknown."""
    for first in _meanings(size, start, 0):
        for last in _meanings(size, stop, size):
            if -((first - last) // step) == width:
                return first, last
    return None


def _meanings(size: Dim, bound: Dim | None, default: Dim) -> list[Dim]:
    """What a bound may stand for: itself, counted from the end, and the ends of the axis."""
    if bound is None or (isinstance(bound, int) and bound >= 2**31):
        return [default]
    if isinstance(bound, Sym):
        return [bound, size + bound, 0, size]
    return [bound, size] if bound >= 0 else [size + bound, 0]


def slice_(context: Context, x: Value, axis: int, start: Dim | None, stop: Dim | None, step: Dim = 1) -> Value:
    """A slice whose free bounds lie inside the axis."""
    axis %= x.type.rank
    size = x.type.shape[axis]
    first = _bound(size, start or 0)
    last = size if stop is None or (isinstance(stop, int) and stop >= 2**31) else _bound(size, stop)
    if isinstance(size, int):
        first = min(first, size) if isinstance(first, int) else first
        last = min(last, size) if isinstance(last, int) else last
    if isinstance(first, int) and isinstance(last, int):
        last = max(last, first)
    every = context.static(step, "the step of a slice")
    if first == 0 and last == size and every == 1:
        return x
    return context.add(Slice((axis,), (first,), (last,), (every,)), x)


def _bound(size: Dim, bound: Dim) -> Dim:
    """A bound counted from the front; one before the first cell is the first cell."""
    if not isinstance(bound, int) or bound >= 0:
        return bound
    counted = size + bound
    return max(counted, 0) if isinstance(counted, int) else counted


@captures("narrow")
def narrow(context: Context, x: Value, axis: int, start: Dim, length: Dim) -> Value:
    return slice_(context, x, axis, start, start + length)


@captures("select.int")
def select(context: Context, x: Value, axis: int, index: Dim) -> Value:
    axis %= x.type.rank
    at = _bound(x.type.shape[axis], index)
    one = context.add(Slice((axis,), (at,), (at + 1,), (1,)), x)
    return context.add(Reshape(context.result_shape()), one)


@captures("chunk", "unsafe_chunk")
def chunk(context: Context, x: Value, count: int, axis: int) -> list[Value]:
    size = x.type.shape[axis]
    part = exact_quotient(size, count) if isinstance(size, Sym) else None
    if part is not None:
        return _parts(context, x, part, axis)
    return _parts(context, x, -(-context.static(size, "the size of an axis cut into parts") // count), axis)


@captures("split.Tensor", "unsafe_split.Tensor")
def split(context: Context, x: Value, size: Dim, axis: int) -> list[Value]:
    return _parts(context, x, size, axis)


@captures("split_with_sizes", "split.sizes", "unsafe_split_with_sizes")
def split_with_sizes(context: Context, x: Value, sizes: Sequence[Dim], axis: int) -> list[Value]:
    parts: list[Value] = []
    start: Dim = 0
    for size in sizes:
        stop = start + size
        parts.append(slice_(context, x, axis, start, stop))
        start = stop
    return parts


@captures("tensor_split.sections")
def tensor_split(context: Context, x: Value, count: Dim, axis: int) -> list[Value]:
    """Parts whose sizes differ by one at most, the larger ones first."""
    size = context.static(x.type.shape[axis], "the size of an axis cut into parts")
    parts = context.static(count, "the number of parts")
    return split_with_sizes(context, x, [size // parts + (i < size % parts) for i in range(parts)], axis)


@captures("tensor_split.indices")
def tensor_split_at(context: Context, x: Value, bounds: Sequence[Dim], axis: int) -> list[Value]:
    edges = [0, *bounds, None]
    return [slice_(context, x, axis, start, stop) for start, stop in itertools.pairwise(edges)]


def _parts(context: Context, x: Value, size: Dim, axis: int) -> list[Value]:
    """Parts of ``size`` cells along an axis; the last one is what is left. Free sizes give a known number of parts."""
    whole = x.type.shape[axis]
    count = exact_quotient(whole, size)
    if isinstance(count, int) and (isinstance(whole, Sym) or isinstance(size, Sym)):
        return [slice_(context, x, axis, size * i, size * (i + 1)) for i in range(count)]
    size = context.static(size, "the size of a part")
    total = context.static(whole, "the size of an axis cut into parts")
    return [slice_(context, x, axis, start, start + size) for start in range(0, total, size)]


@captures("unbind.int")
def unbind(context: Context, x: Value, axis: int) -> list[Value]:
    axis %= x.type.rank
    kept = (*x.type.shape[:axis], *x.type.shape[axis + 1 :])
    return [context.add(Reshape(kept), part) for part in _parts(context, x, 1, axis)]


@captures("cat", "concat", "concatenate")
def concat(context: Context, tensors: list[Value], axis: int) -> Value:
    kept = [context.cast(t, context.result_dtype()) for t in tensors if t.type.shape != (0,)]
    return context.add(Concat(axis % kept[0].type.rank), *kept)


@captures("stack")
def stack(context: Context, tensors: list[Value], axis: int) -> Value:
    shape = context.result_shape()
    axis %= len(shape)
    widened = [context.add(Reshape((*shape[:axis], 1, *shape[axis + 1 :])), t) for t in tensors]
    return context.add(Concat(axis), *widened)


@captures("pad", "constant_pad_nd")
def pad(context: Context, x: Value, sides: Sequence[Dim], *rest: object) -> Value:
    """torch lists sides from the last axis backwards; negative sides crop."""
    mode = rest[0] if rest and isinstance(rest[0], str) else "constant"
    value = rest[-1] if rest and isinstance(rest[-1], int | float) else 0.0
    if mode == "constant" and not all(isinstance(side, int) for side in sides):
        return _padded_by_free_sizes(context, x, sides, float(value))
    before, after = _sides(context, x, sides)
    wider = [tuple(max(side, 0) for side in row) for row in (before, after)]
    if not any((*wider[0], *wider[1])):
        return _crop(context, x, before, after)
    if mode in ("reflect", "replicate"):  # what is cut off on one side may be repeated on the other
        return _crop(context, context.add(BorderPad(wider[0], wider[1], BorderMode(mode)), x), before, after)
    y = _crop(context, x, before, after)
    return (
        _circular(context, y, *wider) if mode == "circular" else context.add(Pad(wider[0], wider[1], float(value)), y)
    )


def _padded_by_free_sizes(context: Context, x: Value, sides: Sequence[Dim], value: float) -> Value:
    """Constant padding whose amount depends on free dims, such as up to the next multiple of a window."""
    rank = x.type.rank
    before: list[Dim] = [0] * rank
    after: list[Dim] = [0] * rank
    for i, side in enumerate(sides):
        if not never_negative(side):
            raise context.error(
                "TP203",
                f"whether a side of {side} cells is padded or cropped depends on the size",
                "make it a remainder, which is never negative, or a constant",
            )
        (after if i % 2 else before)[rank - 1 - i // 2] = side
    return context.add(Pad(tuple(before), tuple(after), value), x)


def _sides(context: Context, x: Value, sides: Sequence[Dim]) -> tuple[list[int], list[int]]:
    rank = x.type.rank
    before, after = [0] * rank, [0] * rank
    for i in range(len(sides) // 2):
        before[rank - 1 - i] = context.static(sides[2 * i], "padding")
        after[rank - 1 - i] = context.static(sides[2 * i + 1], "padding")
    return before, after


@captures("reflection_pad1d", "reflection_pad2d", "reflection_pad3d")
def reflection_pad(context: Context, x: Value, sides: Sequence[Dim]) -> Value:
    return pad(context, x, sides, "reflect")


@captures("replication_pad1d", "replication_pad2d", "replication_pad3d")
def replication_pad(context: Context, x: Value, sides: Sequence[Dim]) -> Value:
    return pad(context, x, sides, "replicate")


def _circular(context: Context, x: Value, before: Sequence[int], after: Sequence[int]) -> Value:
    """The last cells of each axis before its first, and the first behind its last."""
    for axis, (left, right) in enumerate(zip(before, after, strict=True)):
        if left or right:
            size = x.type.shape[axis]
            head = [slice_(context, x, axis, size - left, size)] if left else []
            tail = [slice_(context, x, axis, 0, right)] if right else []
            x = context.add(Concat(axis), *head, x, *tail)
    return x


def _crop(context: Context, x: Value, before: list[int], after: list[int]) -> Value:
    axes = [axis for axis in range(x.type.rank) if before[axis] < 0 or after[axis] < 0]
    if not axes:
        return x
    starts = tuple(max(-before[axis], 0) for axis in axes)
    stops = tuple(x.type.shape[axis] + min(after[axis], 0) for axis in axes)
    return context.add(Slice(tuple(axes), starts, stops, (1,) * len(axes)), x)


@captures("sym_size.int")
def sym_size(context: Context, x: Value, axis: int) -> Dim:
    return x.type.shape[axis]


@captures("sym_numel")
def sym_numel(context: Context, x: Value) -> Dim:
    return x.type.elements
