"""Computes apart what slices would take out of one linear layer.

before:  %1 = linear(%x, w [3*H*D, I])    %2 = reshape(%1, [N, L, 3, H, D])
         %3 = transpose(%2, [2, 0, 3, 1, 4])    %4 = slice(%3, 0:1)    %5 = slice(%3, 1:2)    …
after:   %1 = linear(%x, w[0:H*D])    %3 = reshape(%1, [N, L, H, D])
         %4 = transpose(%3, [0, 2, 1, 3])    …

Both multiply as much, but no slice is copied, and a transpose has one axis less: queries, keys and values of attention
that come out of one product, the two halves of a gated layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from ..graph import Graph, Node, Value
from ..graph.dims import product
from ..ops import Linear, Reshape, Slice, Transpose
from .dead_code import remove_dead_code
from .rearrange import Rearrangement

LEAST_ROWS = 32
"""Of a weight that is cut out: kernels compute up to so many at a time, and fewer take as long."""


@dataclass(frozen=True)
class _Part:
    """A slice of a linear layer's outputs.

    rows    of the weight: first, and the one behind the last
    after   what is done to the outputs of these rows, in the place of what is done to all and the slice
    """

    slice: Node
    rows: tuple[int, int]
    after: Rearrangement


def split_linear(graph: Graph) -> bool:
    """True when a layer was split."""
    changed = False
    for node in graph.nodes:
        if isinstance(node.op, Linear) and all(_is_own_constant(value) for value in node.inputs[1:]):
            parts = _parts(graph, node)
            if parts is not None:
                _split(graph, node, parts)
                changed = True
    if changed:
        remove_dead_code(graph)
    return changed


def _is_own_constant(value: Value) -> bool:
    return value.is_constant and value.quantization is None and len(value.users) == 1


def _parts(graph: Graph, layer: Node) -> list[_Part] | None:
    """What slices alone read of the layer, each a piece of its own; None when it is read otherwise too."""
    value = layer.output
    whole: Rearrangement | None = Rearrangement.start(value.type.shape)
    while len(value.users) == 1 and isinstance(value.users[0].op, Reshape | Transpose):
        if value.quantization is not None or graph.is_output(value) or whole is None:
            return None
        whole, value = whole.then(value.users[0]), value.users[0].output
    if whole is None or value.quantization is not None or graph.is_output(value) or not value.users:
        return None
    parts: list[_Part] = []
    for user in value.users:
        part = _part(user, whole)
        if part is None:
            return None
        parts.append(part)
    ranges = sorted(part.rows for part in parts)
    apart = all(first[1] <= second[0] for first, second in pairwise(ranges))
    return parts if apart and all(stop - start >= LEAST_ROWS for start, stop in ranges) else None


def _part(node: Node, whole: Rearrangement) -> _Part | None:
    """The part that a slice along the outermost axis made of the outputs is; None for any other reader."""
    op, shape = node.op, whole.given
    if not isinstance(op, Slice) or len(op.axes) != 1 or op.steps != (1,):
        return None
    (start,), (stop,) = op.starts, op.stops
    outputs = [atom for atom, axis in whole.axis_of_atom().items() if axis == len(shape) - 1]
    if not isinstance(start, int) or not isinstance(stop, int) or whole.axes[op.axes[0]] != tuple(outputs[:1]):
        return None
    row = product(whole.atoms[atom] for atom in outputs[1:])
    assert isinstance(row, int), "the rows of a weight are counted"
    after = whole.narrowed(outputs[0], stop - start, (*shape[:-1], (stop - start) * row))
    return _Part(node, (start * row, stop * row), after) if after.is_writable else None


def _split(graph: Graph, layer: Node, parts: list[_Part]) -> None:
    x, *parameters = layer.inputs
    for part in parts:
        start, stop = part.rows
        mark = f"[{start}:{stop}]"
        cut = [graph.add_constant(value.array()[start:stop], value.name + mark) for value in parameters]
        y = graph.add(layer.op, x, *cut, name=layer.name + mark, source=layer.source)
        moved = part.after.build(graph, y, part.slice)
        if moved is y:
            graph.hand_name_over(part.slice, y)
        graph.replace(part.slice.output, moved)
