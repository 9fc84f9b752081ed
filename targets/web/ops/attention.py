"""softmax(q kᵀ, masked) v as one call (kernels/attention.c), with the transposes around it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ....exporter.graph import Array, Dim, DType, Graph, Node, Shape, Value
from ....exporter.ops import (
    Activation,
    Add,
    Div,
    Iota,
    LessEqual,
    MatMul,
    Mul,
    OpAttrs,
    Reshape,
    Softmax,
    Transpose,
    Where,
)
from ....exporter.ops.base import inverse_perm
from ..fusion import Fusion, finds, inner
from ..plan import Argument
from ..views import View, factor, number, strides_along, views_of
from ..writer import Writer

ATTENTION_QUERIES = 8
ATTENTION_KEYS = 128
"""Queries and keys of a block (QUERIES and KEYS in kernels/attention.c)."""

MASKED = -1e30
"""A score this low weighs exactly 0 beside any other (capture/attention.py)."""

_PLAIN, _ADDED, _KEPT, _HIDDEN, _CAUSAL = range(5)
"""The kinds of masks of kernels/attention.c."""


@dataclass(frozen=True)
class _Mask:
    """What is done to the scores before the softmax; ``value`` broadcasts to them."""

    kind: int = _PLAIN
    value: Value | None = None
    fill: float = 0.0


@dataclass(frozen=True)
class _Attention:
    """The operands and the result as they stand in memory.

    batch   axes in front of queries and keys; ``keys`` is [.., S, E] whichever way the product wants it
    group   how many neighbours on the last batch axis share keys and values
    """

    batch: Shape
    queries: View
    keys: View
    values: View
    result: View
    mask: _Mask
    scale: float
    group: int


@finds
def find(graph: Graph, last: Node) -> Fusion | None:
    """The attention whose last product this is; what is computed on the way must be read by nobody else."""
    if not isinstance(last.op, MatMul) or last.op.transpose_b or last.output.type.dtype is not DType.FLOAT32:
        return None
    nodes = {last}
    weights, values = last.inputs
    group = _group(graph, weights)
    heads = _before(graph, weights, nodes) if group > 1 else weights
    shape = (*heads.type.shape[:-1], last.output.type.shape[-1])
    y = _after(graph, last.output, shape, nodes) if group > 1 else last.output
    softmax = _step(graph, heads, nodes, Softmax)
    if softmax is None or softmax.op not in (Softmax(-1), Softmax(heads.type.rank - 1)) or y is None:
        return None
    scores, mask = _unmasked(graph, softmax.inputs[0], nodes)
    scores, scale = _unscaled(graph, scores, nodes)
    if group > 1:
        scores = _before(graph, scores, nodes)
    first = _step(graph, scores, nodes, MatMul)
    if first is None or scores.type.shape[-2:] != weights.type.shape[-2:]:
        return None
    queries, keys = first.inputs
    if group > 1:
        queries = _before(graph, queries, nodes)
        if queries.type.shape[:-1] != heads.type.shape[:-1]:
            return None
    views = views_of(graph, (queries, keys, values), nodes, (queries, keys))
    scale *= factor(views[0]) * factor(views[1])
    assert isinstance(first.op, MatMul)
    if not first.op.transpose_b:
        views[1] = replace(views[1], shape=_swapped(views[1].shape), strides=_swapped(views[1].strides))
    if any(view.strides[-1] != 1 for view in views):
        return None
    result = _result(graph, y)
    nodes.update(*(view.through for view in (*views, result)))
    found = _Attention(y.type.shape[:-2], views[0], views[1], views[2], result, mask, scale, group)
    return Fusion(frozenset(nodes), lambda writer: _emit(writer, found))


def _emit(writer: Writer, found: _Attention) -> None:
    rank = len(found.batch) + 2
    queries, keys, values, result, mask = found.queries, found.keys, found.values, found.result, found.mask
    over_mask: list[Dim] = [0] * rank
    if mask.value is not None:
        over_mask = strides_along(View.dense(mask.value), rank)
    along = [*(strides_along(view, rank) for view in (queries, keys, values)), list(result.strides), over_mask]
    count, depth = keys.shape[-2:]
    width, group = values.shape[-1], found.group
    axes: list[Dim] = []
    for axis, size in enumerate(found.batch):
        steps = [strides[axis] for strides in along]
        if group > 1 and axis == rank - 3:
            q, k, v, y, m = steps
            axes += [size // group, q * group, k, v, y * group, m * group, group, q, 0, 0, y, m]
        else:
            axes += [size, *steps]
    table: list[Argument] = [len(axes) // 6, queries.shape[-2], count, depth, width, mask.kind]
    table += [queries.start, keys.start, values.start, *(strides[-2] for strides in along), over_mask[-1], *axes]
    scratch = writer.scratch(ATTENTION_QUERIES * (depth + ATTENTION_KEYS + (width + 7) // 8 * 8))
    at = [writer.operand(view.base) for view in (queries, keys, values)]
    given = 0 if mask.value is None else writer.operand(mask.value)
    writer.call("attention", writer.result(result.base), *at, given, scratch, table, found.scale, mask.fill)


def _group(graph: Graph, weights: Value) -> int:
    """How many heads stand one below the other as one matrix, since they share keys and values."""
    node = weights.producer
    if node is None or not isinstance(node.op, Reshape) or not inner(graph, weights, weights.users[:1]):
        return 1
    apart, together = node.inputs[0].type.shape, weights.type.shape
    if len(apart) != len(together) or len(apart) < 3 or (*apart[:-3], apart[-1]) != (*together[:-3], together[-1]):
        return 1
    heads, shared = apart[-3], together[-3]
    if not isinstance(heads, int) or not isinstance(shared, int) or heads % shared:
        return 1
    return heads // shared


def _before(graph: Graph, value: Value, nodes: set[Node]) -> Value:
    """The value before a reshape that only the pattern reads; the value itself when there is none."""
    node = _step(graph, value, nodes, Reshape)
    return value if node is None else node.inputs[0]


def _after(graph: Graph, value: Value, shape: Shape, nodes: set[Node]) -> Value | None:
    """The value behind a reshape to that shape, if nobody else reads it."""
    node = value.users[0] if len(value.users) == 1 and not graph.is_output(value) else None
    if node is None or not isinstance(node.op, Reshape) or node.output.type.shape != shape:
        return None
    nodes.add(node)
    return node.output


def _step(graph: Graph, value: Value, nodes: set[Node], *ops: type[OpAttrs]) -> Node | None:
    """The producer of a value that only the pattern reads, if it is one of these ops; it joins the pattern."""
    node = value.producer
    if node is None or not isinstance(node.op, ops) or not inner(graph, value, nodes):
        return None
    nodes.add(node)
    return node


def _unmasked(graph: Graph, scores: Value, nodes: set[Node]) -> tuple[Value, _Mask]:
    """The scores before a mask was laid over them."""
    node = scores.producer
    if node is None or not inner(graph, scores, nodes):
        return scores, _Mask()
    if node.op == Add(Activation.NONE):
        for given, mask in (node.inputs, node.inputs[::-1]):
            if given.type.shape == scores.type.shape and isinstance(_maker(given), MatMul | Mul | Div):
                nodes.add(node)
                return given, _added(mask)
    if isinstance(node.op, Where):
        condition, yes, no = node.inputs
        for given, other, kind in ((yes, no, _KEPT), (no, yes, _HIDDEN)):
            fill = number(other)
            if fill is not None and given.type.shape == scores.type.shape:
                nodes.add(node)
                if kind != _KEPT or fill > MASKED or not _is_causal(condition):
                    return given, _Mask(kind, condition, fill)
                _absorb(graph, condition, nodes)
                return given, _Mask(_CAUSAL, None, fill)
    return scores, _Mask()


def _absorb(graph: Graph, value: Value, nodes: set[Node]) -> None:
    """What a value is computed from, as far as only the pattern reads it, joins the pattern."""
    if value.producer is not None and inner(graph, value, nodes):
        nodes.add(value.producer)
        for operand in value.producer.inputs:
            _absorb(graph, operand, nodes)


def _added(mask: Value) -> _Mask:
    """A mask of zeros and one very low number above the diagonal needs no memory."""
    if mask.is_constant and mask.type.rank > 1 and mask.array()[..., 0, -1].size == 1:
        lowest = float(mask.array()[..., 0, -1].item())
        if lowest <= MASKED and np.array_equal(_matrix(mask.array()), np.where(_lower(mask), np.float32(0), lowest)):
            return _Mask(_CAUSAL, None, lowest)
    return _Mask(_ADDED, mask)


def _is_causal(mask: Value) -> bool:
    """Whether a bool mask is true where the key stands no later than the query."""
    if mask.is_constant:
        return mask.type.rank > 1 and np.array_equal(_matrix(mask.array()), _lower(mask))
    node = mask.producer
    if node is None or not isinstance(node.op, LessEqual):
        return False
    keys, rows = (_counted(value) for value in node.inputs)
    shape = mask.type.shape
    return keys == (shape[-1], 1) and rows == (shape[-2], 2) and all(size == 1 for size in shape[:-2])


def _counted(value: Value) -> tuple[Dim, int] | None:
    """(size, how manyth axis from the end) where a value counts from 0 along one axis and has no other."""
    axes = [(size, len(value.type.shape) - axis) for axis, size in enumerate(value.type.shape) if size != 1]
    while isinstance(_maker(value), Reshape) and value.producer is not None:
        value = value.producer.inputs[0]
    return axes[0] if len(axes) == 1 and isinstance(_maker(value), Iota) else None


def _unscaled(graph: Graph, scores: Value, nodes: set[Node]) -> tuple[Value, float]:
    """The scores before they were multiplied by a number."""
    node = scores.producer
    if node is None or not isinstance(node.op, Mul | Div) or node.op.activation is not Activation.NONE:
        return scores, 1.0
    given = number(node.inputs[1])
    if given is None or node.inputs[0].type.shape != scores.type.shape or not inner(graph, scores, nodes):
        return scores, 1.0
    nodes.add(node)
    return node.inputs[0], given if isinstance(node.op, Mul) else 1 / given


def _result(graph: Graph, y: Value) -> View:
    """Where the answer goes: into the transpose behind it, if nobody wants it as it is."""
    after = y.users[0] if len(y.users) == 1 and not graph.is_output(y) else None
    if after is None or not isinstance(after.op, Transpose) or after.op.perm[-1] != y.type.rank - 1:
        return View.dense(y)
    strides = View.dense(after.output).strides
    inverse = inverse_perm(after.op.perm)
    return View(after.output, y.type.shape, tuple(strides[axis] for axis in inverse), 0, (after,))


def _maker(value: Value) -> OpAttrs | None:
    return None if value.producer is None else value.producer.op


def _matrix(array: Array) -> Array:
    """Without leading axes of size 1."""
    return array.reshape(array.shape[-2:]) if array.size == array.shape[-1] * array.shape[-2] else array


def _lower(mask: Value) -> Array:
    return np.tri(*mask.array().shape[-2:], dtype=np.bool_)


def _swapped(entries: tuple[Dim, ...]) -> tuple[Dim, ...]:
    return (*entries[:-2], entries[-1], entries[-2])
