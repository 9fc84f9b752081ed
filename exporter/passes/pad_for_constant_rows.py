"""Writes constant rows beside a tensor, such as a class token, as padding and a sum that is there anyway.

before:  %1 = expand(c [1, 1, 192])    %2 = concat(%1, %x [batch, 196, 192])    %3 = add(%2, p [1, 197, 192])
after:   %1 = pad(%x, 0, one row before)    %2 = add(%1, p' [1, 197, 192])

with the constant rows' sums in p': the same float32 numbers (a zero may change its sign before p is added). Repeating
along a free batch takes its size while the model runs, which breaks a delegate's piece of the graph in two (LiteRT).
"""

from __future__ import annotations

import numpy as np

from ..graph import Array, Graph, Node, Value
from ..ops import Add, Concat, Expand, Pad


def pad_for_constant_rows(graph: Graph) -> bool:
    """True when rows were taken into a sum."""
    changed = False
    for node in list(graph.nodes):
        if isinstance(node.op, Concat) and node in graph.nodes:
            changed = _taken_into_sum(graph, node) or changed
    return changed


def _taken_into_sum(graph: Graph, concat: Node) -> bool:
    assert isinstance(concat.op, Concat)
    axis, y = concat.op.axis % concat.output.type.rank, concat.output
    rows = [_constant_rows(operand) for operand in concat.inputs]
    own = [i for i, row in enumerate(rows) if row is None]
    sizes = [operand.type.shape[axis] for operand in concat.inputs]
    known = [size for size in sizes if isinstance(size, int)]
    if len(own) != 1 or len(known) < len(sizes) or not y.type.dtype.is_float or y.quantization is not None:
        return False
    if graph.is_output(y) or len(y.users) != 1:
        return False
    (add,) = y.users
    if not isinstance(add.op, Add) or add.inputs[0] is add.inputs[1] or add.output.type.shape != y.type.shape:
        return False
    other = add.inputs[1 - add.inputs.index(y)]
    if not other.is_constant or other.type.rank > y.type.rank:
        return False
    starts = [sum(known[:i]) for i in range(len(known) + 1)]
    placed = [(slice(*starts[i : i + 2]), row) for i, row in enumerate(rows) if row is not None]
    shift = _with_rows(other.array(), placed, axis, starts[-1], y.type.rank)
    before, after = [0] * y.type.rank, [0] * y.type.rank
    before[axis], after[axis] = starts[own[0]], starts[-1] - starts[own[0] + 1]
    expanded = [operand.producer for i, operand in enumerate(concat.inputs) if i != own[0]]
    graph.set_op(concat, Pad(tuple(before), tuple(after)), [concat.inputs[own[0]]])
    graph.set_op(add, add.op, [y, graph.add_constant(shift, f"{other.name}/with_rows")])
    for node in dict.fromkeys(expanded):
        if node is not None and not node.output.users and not graph.is_output(node.output):
            graph.remove(node)
    return True


def _constant_rows(value: Value) -> Array | None:
    """The cells that a value repeats along its free axes; None where it is no such constant."""
    if value.producer is None or not isinstance(value.producer.op, Expand):
        return None
    (cells,) = value.producer.inputs
    if not cells.is_constant or cells.type.rank != value.type.rank:
        return None
    return cells.array()


def _with_rows(shift: Array, placed: list[tuple[slice, Array]], axis: int, size: int, rank: int) -> Array:
    """The constant of the sum, as large as what is added in its rows, with the rows' own numbers in it."""
    whole = shift.reshape((1,) * (rank - shift.ndim) + shift.shape)
    shapes = [whole.shape, *(cells.shape for _, cells in placed)]
    widest = [max(shape[i] for shape in shapes) for i in range(rank)]
    widest[axis] = size
    made = np.broadcast_to(whole, widest).copy()
    for places, cells in placed:
        part = (slice(None),) * axis + (places,)
        made[part] = np.add(made[part], cells)
    return made
