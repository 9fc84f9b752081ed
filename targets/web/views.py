"""What transposes, reshapes and slices leave of a tensor: steps through its memory, and no copy."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ...exporter.graph import Dim, Graph, Node, Shape, Value
from ...exporter.graph.dims import product
from ...exporter.ops import Activation, Div, Mul, Reshape, Slice, Transpose
from .fusion import inner


@dataclass(frozen=True)
class View:
    """Cells of ``base``: the first one's place and the step along each axis, in elements."""

    base: Value
    shape: Shape
    strides: tuple[Dim, ...]
    start: Dim = 0
    through: tuple[Node, ...] = ()

    @staticmethod
    def dense(value: Value) -> View:
        return View(value, value.type.shape, tuple(dense_strides(value.type.shape)))


def dense_strides(shape: Shape) -> list[Dim]:
    """Elements from one index to the next along each axis of a row-major tensor."""
    return [product(shape[axis + 1 :]) for axis in range(len(shape))]


def views_of(graph: Graph, values: Sequence[Value], readers: Collection[Node], scaled: Collection[Value]) -> list[View]:
    """Each value as a view of the earliest tensor that it is cells of.

    readers   the nodes that will read the views; what anybody else reads as well is a tensor of its own
    scaled    those of the values that may be cells times a number (`factor`)
    """
    banned: set[Node] = set()
    while True:
        views = [_view(value, banned, value in scaled) for value in values]
        passed = {node for view in views for node in view.through}
        if not (seen := {node for node in passed if not inner(graph, node.output, passed.union(readers))}):
            return views
        banned |= seen


def factor(view: View) -> float:
    """What the cells are multiplied by."""
    return math.prod(_scale(node) or 1.0 for node in view.through)


def number(value: Value) -> float | None:
    """The only cell of a constant."""
    return float(value.array().item()) if value.is_constant and value.array().size == 1 else None


def _scale(node: Node) -> float | None:
    """The number that a node multiplies its first operand by."""
    if not isinstance(node.op, Mul | Div) or node.op.activation is not Activation.NONE:
        return None
    given = number(node.inputs[1])
    if not given or node.output.type != node.inputs[0].type:
        return None
    return given if isinstance(node.op, Mul) else 1 / given


def _view(value: Value, banned: Collection[Node], scaled: bool) -> View:
    chain: list[Node] = []
    while (node := value.producer) is not None and node not in banned:
        if not isinstance(node.op, Reshape | Slice | Transpose) and not (scaled and _scale(node)):
            break
        chain.append(node)
        value = node.inputs[0]
    view = View.dense(value)
    for node in reversed(chain):
        view = _seen_through(view, node) or View.dense(node.output)
    return view


def strides_along(view: View, rank: int) -> list[Dim]:
    """The steps along ``rank`` axes that the view broadcasts to: 0 where it has one cell or no such axis."""
    missing = rank - len(view.shape)
    return [0] * missing + [0 if size == 1 else step for size, step in zip(view.shape, view.strides, strict=True)]


def _seen_through(view: View, node: Node) -> View | None:
    """The view of a node's output where ``view`` is that of its input; None when no steps lead through its cells."""
    op, shape, through = node.op, node.output.type.shape, (*view.through, node)
    if isinstance(op, Transpose):
        return View(view.base, shape, tuple(view.strides[axis] for axis in op.perm), view.start, through)
    if isinstance(op, Slice):
        strides, start = list(view.strides), view.start
        for axis, first, step in zip(op.axes, op.starts, op.steps, strict=True):
            start = start + strides[axis] * first
            strides[axis] = strides[axis] * step
        return View(view.base, shape, tuple(strides), start, through)
    if not isinstance(op, Reshape):
        return View(view.base, shape, view.strides, view.start, through)
    reshaped = _reshaped(view.shape, view.strides, shape)
    return None if reshaped is None else View(view.base, shape, reshaped, view.start, through)


def _reshaped(old: Shape, strides: Sequence[Dim], new: Shape) -> tuple[Dim, ...] | None:
    """The steps along other axes: those that differ in the middle must follow one another without a gap."""
    front = 0
    while front < min(len(old), len(new)) and old[front] == new[front]:
        front += 1
    back = 0
    while back < min(len(old), len(new)) - front and old[-1 - back] == new[-1 - back]:
        back += 1
    middle = range(front, len(old) - back)
    if not middle:
        step: Dim = 1
    elif any(strides[i] != strides[i + 1] * old[i + 1] for i in middle[:-1]):
        return None
    else:
        step = strides[middle[-1]]
    inserted = [stride * step for stride in dense_strides(new[front : len(new) - back])]
    return (*strides[:front], *inserted, *strides[len(old) - back :])
