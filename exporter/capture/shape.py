"""ATen ops that move cells about. Shapes are read from torch's own result, where free dims are already worked out."""

from __future__ import annotations

from collections.abc import Sequence

from ..graph import Dim, Value
from ..ops import Concat, Gather, Pad, Reshape, Slice, Transpose
from .context import Context
from .registry import captures


@captures("view", "reshape", "flatten", "unflatten", "unsqueeze", "squeeze", "_unsafe_view", "view_as", "reshape_as")
def reshape(context: Context, x: Value, *_: object) -> Value:
    shape = context.result_shape()
    return x if shape == x.type.shape else context.add(Reshape(shape), x)


@captures("permute")
def permute(context: Context, x: Value, dims: Sequence[int]) -> Value:
    return context.add(Transpose(tuple(axis % x.type.rank for axis in dims)), x)


@captures("transpose.int", "swapaxes")
def transpose(context: Context, x: Value, first: int, second: int) -> Value:
    perm = list(range(x.type.rank))
    perm[first], perm[second] = perm[second], perm[first]
    return context.add(Transpose(tuple(perm)), x)


@captures("t", "numpy_T")
def reversed_axes(context: Context, x: Value) -> Value:
    return context.add(Transpose(tuple(reversed(range(x.type.rank)))), x)


@captures("mT")
def matrix_transpose(context: Context, x: Value) -> Value:
    return transpose(context, x, -2, -1)


@captures("slice.Tensor")
def slice_(context: Context, x: Value, axis: int, start: Dim | None, stop: Dim | None, step: Dim = 1) -> Value:
    axis %= x.type.rank
    size = x.type.shape[axis]
    first = context.static(start or 0, "the start of a slice")
    if first < 0:
        first = context.static(size + first, "the start of a slice")
    last = size if stop is None or (isinstance(stop, int) and stop >= 2**31) else stop
    if isinstance(last, int) and last < 0:
        last = size + last
    if isinstance(size, int) and isinstance(last, int):
        first = min(first, size)
        last = min(max(last, first), size)
    every = context.static(step, "the step of a slice")
    if first == 0 and last == size and every == 1:
        return x
    return context.add(Slice((axis,), (first,), (last,), (every,)), x)


@captures("narrow")
def narrow(context: Context, x: Value, axis: int, start: Dim, length: Dim) -> Value:
    return slice_(context, x, axis, start, start + length)


@captures("select.int")
def select(context: Context, x: Value, axis: int, index: Dim) -> Value:
    axis %= x.type.rank
    at = context.static(index, "the index of a selection")
    if at < 0:
        at = context.static(x.type.shape[axis] + at, "the index of a selection")
    one = context.add(Slice((axis,), (at,), (at + 1,), (1,)), x)
    return context.add(Reshape(context.result_shape()), one)


@captures("chunk")
def chunk(context: Context, x: Value, count: int, axis: int) -> list[Value]:
    size = context.static(x.type.shape[axis], "the size of an axis cut into parts")
    return _parts(context, x, -(-size // count), axis)


@captures("split.Tensor")
def split(context: Context, x: Value, size: Dim, axis: int) -> list[Value]:
    return _parts(context, x, context.static(size, "the size of a part"), axis)


@captures("split_with_sizes", "split.sizes")
def split_with_sizes(context: Context, x: Value, sizes: Sequence[Dim], axis: int) -> list[Value]:
    parts, start = [], 0
    for size in sizes:
        stop = start + context.static(size, "the size of a part")
        parts.append(slice_(context, x, axis, start, stop))
        start = stop
    return parts


def _parts(context: Context, x: Value, size: int, axis: int) -> list[Value]:
    """Parts of ``size`` cells along an axis; the last one is what is left."""
    total = context.static(x.type.shape[axis], "the size of an axis cut into parts")
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
    if mode != "constant":
        raise context.error("TP202", f"padding mode {mode!r} has no meaning here", "pad with a constant")
    rank = x.type.rank
    before, after = [0] * rank, [0] * rank
    for i in range(len(sides) // 2):
        before[rank - 1 - i] = context.static(sides[2 * i], "padding")
        after[rank - 1 - i] = context.static(sides[2 * i + 1], "padding")
    y = _crop(context, x, before, after)
    if any(side > 0 for side in (*before, *after)):
        y = context.add(Pad(tuple(max(b, 0) for b in before), tuple(max(a, 0) for a in after), float(value)), y)
    return y


def _crop(context: Context, x: Value, before: list[int], after: list[int]) -> Value:
    axes = [axis for axis in range(x.type.rank) if before[axis] < 0 or after[axis] < 0]
    if not axes:
        return x
    starts = tuple(max(-before[axis], 0) for axis in axes)
    stops = tuple(x.type.shape[axis] + min(after[axis], 0) for axis in axes)
    return context.add(Slice(tuple(axes), starts, stops, (1,) * len(axes)), x)


@captures("embedding")
def embedding(context: Context, table: Value, indices: Value, *_: object) -> Value:
    return context.add(Gather(0), table, indices)


@captures("index_select")
def index_select(context: Context, table: Value, axis: int, indices: Value) -> Value:
    return context.add(Gather(axis % table.type.rank), table, indices)


@captures("sym_size.int")
def sym_size(context: Context, x: Value, axis: int) -> Dim:
    return x.type.shape[axis]
