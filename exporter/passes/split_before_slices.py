"""Splits an axis once, before slices are taken, where every slice splits it alike afterwards.

before:  %1 = reshape(%x, [L, N, 3, H*D])      %2 = slice(%1)    %3 = reshape(%2, [L, N, H, D])    …
after:   %1 = reshape(%x, [L, N, 3, H, D])     %2 = slice(%1)    %3 = reshape(%2, [L, N, H, D])    …

That is how torch's own attention takes queries, keys and values out of one product. What is left behind the slices
drops axes of size 1 at most, so that one transpose may do for all of them. Cellwise ops in between do not hinder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..graph import Dim, Graph, Node, Shape, Value
from ..ops import BinaryOp, Reshape, Slice, UnaryOp
from .base import only_user_is
from .dead_code import remove_dead_code

MAX_RANK = 5
"""Of a tensor that slices are taken from: kernels of phones take no more."""


@dataclass(frozen=True)
class _Path:
    """A slice, the cellwise ops behind it, and the reshape at their end."""

    slice: Node
    cellwise: tuple[Node, ...]
    reshape: Node


def split_before_slices(graph: Graph) -> bool:
    """True when an axis was split earlier."""
    changed = False
    for node in graph.nodes:
        if isinstance(node.op, Reshape) and not graph.is_output(node.output):
            changed = _split(graph, node) or changed
    return changed


def _split(graph: Graph, node: Node) -> bool:
    paths = [_path(graph, user) for user in node.output.users]
    found = [path for path in paths if path is not None]
    if len(found) < 2 or len(found) < len(paths):
        return False
    shape = node.output.type.shape
    splits = {_split_of(path) for path in found}
    split = splits.pop()
    if splits or split is None:
        return False
    axis, parts = split
    if len(shape) + len(parts) - 1 > MAX_RANK:
        return False
    x = graph.rebuild(node, Reshape((*shape[:axis], *parts, *shape[axis + 1 :])), node.inputs).output
    for path in found:
        _along(graph, path, x, axis)
    remove_dead_code(graph)
    return True


def _path(graph: Graph, node: Node) -> _Path | None:
    if not isinstance(node.op, Slice):
        return None
    cellwise: list[Node] = []
    value = node.output
    while len(value.users) == 1 and not graph.is_output(value) and _is_cellwise(value.users[0]):
        (user,) = value.users
        cellwise.append(user)
        value = user.output
    return _Path(node, tuple(cellwise), value.users[0]) if only_user_is(value, graph, Reshape) else None


def _is_cellwise(node: Node) -> bool:
    """Whether a node works cell by cell on one tensor."""
    if isinstance(node.op, UnaryOp):
        return True
    others = [value for value in node.inputs if value.type.shape not in ((), (1,))]
    return isinstance(node.op, BinaryOp) and len(others) == 1


def _split_of(path: _Path) -> tuple[int, Shape] | None:
    """(axis, what becomes of it) where the reshape splits one axis in two, and drops or adds axes of size 1."""
    assert isinstance(path.slice.op, Slice) and isinstance(path.reshape.op, Reshape)
    given = [(axis, dim) for axis, dim in enumerate(path.slice.output.type.shape) if dim != 1]
    after: list[Dim] = [dim for dim in path.reshape.op.shape if dim != 1]
    if len(after) != len(given) + 1:
        return None
    for place, (axis, dim) in enumerate(given):
        if dim != after[place]:
            same = [dim for _, dim in given[place + 1 :]] == after[place + 2 :]
            alone = axis not in path.slice.op.axes
            return (axis, tuple(after[place : place + 2])) if same and alone else None
    return None


def _along(graph: Graph, path: _Path, x: Value, axis: int) -> None:
    assert isinstance(path.slice.op, Slice)
    op = replace(path.slice.op, axes=tuple(a + (a > axis) for a in path.slice.op.axes))
    old, value = path.slice.output, graph.rebuild(path.slice, op, [x]).output
    for node in path.cellwise:
        value = graph.rebuild(node, node.op, [value if v is old else v for v in node.inputs]).output
        old = node.output
    graph.replace(path.reshape.output, graph.rebuild(path.reshape, path.reshape.op, [value]).output)
