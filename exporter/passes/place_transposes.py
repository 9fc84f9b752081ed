"""Lets tensors that are worked on together keep the layout in which the fewest transposes are needed.

before:  %1 = slice(%x)    %2 = slice(%x)    %3 = transpose(%1)    %4 = transpose(%2)
after:   %5 = transpose(%x)    %3 = slice(%5)    %4 = slice(%5)

before:  %1 = transpose(%x, p)    %2 = reshape(%1)    %3 = add(%2, transpose(%y, q))    %4 = transpose(%3, q⁻¹)
after:   %1 = transpose(%x, p')   %2 = reshape(%1)    %4 = add(%2, %y)

A region is what ops that work in any layout connect, as far as they reach. All of it is carried in another layout at
once where that leaves fewer transposes around it. One between reshapes gives any layout at the same cost: a channel
shuffle, windows that are put together, heads that are joined.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..graph import Graph, Node, Value
from ..ops import ReduceOp, Reshape, Transpose
from ..ops.base import Perm, inverse_perm
from .base import only_user_is
from .cancel_transposes import full_shape, is_identity, moved_operand, moves_only_ones, settle
from .dead_code import remove_dead_code
from .rearrange import Rearrangement


def place_transposes(graph: Graph) -> bool:
    """True when a region was carried over to another layout."""
    changed = False
    while (region := _best(graph)) is not None:
        before = _transposes(graph)
        _carry_over(graph, region)
        settle(graph)
        changed = True
        if _transposes(graph) >= before:  # what was expected of it did not come true: try no further
            break
    return changed


@dataclass
class Region:
    """Values that one permutation is to move, and the nodes that can work on them then.

    sources   values that come from elsewhere; the others are computed by ``nodes``
    """

    perm: Perm
    values: dict[Value, None] = field(default_factory=dict)
    nodes: dict[Node, None] = field(default_factory=dict)

    @property
    def sources(self) -> list[Value]:
        return [value for value in self.values if value.producer not in self.nodes]

    def readers_outside(self, value: Value) -> list[Node]:
        return [user for user in value.users if user not in self.nodes]


def _transposes(graph: Graph) -> int:
    return sum(isinstance(node.op, Transpose) for node in graph.nodes)


def _best(graph: Graph) -> Region | None:
    """The first region that saves a transpose."""
    tried: set[tuple[Value, Perm]] = set()
    for start, perm in _candidates(graph):
        if (start, perm) in tried:
            continue
        region = _grown(start, perm)
        tried.update((value, perm) for value in region.values)
        if region.nodes and _change(graph, region) < 0:
            return region
    return None


def _candidates(graph: Graph) -> Iterator[tuple[Value, Perm]]:
    """Values next to a transpose, each with the permutation that would make it needless."""
    for node in graph.nodes:
        if isinstance(node.op, Transpose):
            yield node.inputs[0], node.op.perm
            yield node.output, inverse_perm(node.op.perm)
            chain, x = _chain_before(graph, node.output)
            whole = _as_one(chain, x)
            first = whole.as_transpose_first() if whole is not None else None
            if first is not None and len(chain) > 1:
                yield x, first


def _grown(start: Value, perm: Perm) -> Region:
    """All that ops which work in any layout connect with a value."""
    region = Region(perm, {start: None})
    waiting = [start]
    while waiting:
        value = waiting.pop()
        for node in (value.producer, *value.users):
            if node is None or node in region.nodes:
                continue
            met = _met(node, perm)
            if met is None or value not in met:
                continue
            region.nodes[node] = None
            waiting += [other for other in met if other not in region.values]
            region.values.update(dict.fromkeys(met))
    return region


def _met(node: Node, perm: Perm) -> list[Value] | None:
    """The values that have to move with a node; None when it works in its layout alone."""
    if isinstance(node.op, Transpose | Reshape) or len(node.outputs) != 1 or node.output.type.rank != len(perm):
        return None
    if node.op.permuted(perm) is None:
        return None
    met = [node.output]
    for value in node.inputs[: node.op.parameters]:
        if value.is_constant or moves_only_ones(full_shape(value, len(perm)), perm):
            continue
        if value.type.rank != len(perm):
            return None
        met.append(value)
    return met if len(met) > 1 else None


def _change(graph: Graph, region: Region) -> int:
    """By how many there are more transposes when the region is carried over."""
    change = 0
    for value in region.values:
        outside = region.readers_outside(value)
        if value.producer not in region.nodes:
            change += _at_source(graph, value, region.perm, bool(outside) or graph.is_output(value))
            change -= sum(isinstance(user.op, Transpose) and user.op.perm == region.perm for user in outside)
        else:
            saved, back = 0, graph.is_output(value)
            for user in outside:
                difference = _at_reader(graph, user, inverse_perm(region.perm))
                back = back or difference is None
                saved += difference or 0
            change += saved + back
    return change


def _at_source(graph: Graph, value: Value, perm: Perm, read_as_it_is: bool) -> int:
    """How many more transposes when ``value`` is wanted moved by ``perm``, and as it is too or not."""
    chain, x = _chain_before(graph, value)
    whole = _as_one(chain, x)
    if whole is None:
        return 1
    moved = whole.transposed(perm)
    if not moved.is_reshape and not moved.is_writable:
        return 1
    saved = 0 if read_as_it_is else sum(isinstance(node.op, Transpose) for node in chain)
    return (not moved.is_reshape) - saved


def _chain_before(graph: Graph, value: Value) -> tuple[list[Node], Value]:
    """The reshapes and transposes that alone make a value, first to last, and what they make it of."""
    chain: list[Node] = []
    while value.producer is not None and isinstance(value.producer.op, Reshape | Transpose):
        if chain and (len(value.users) > 1 or graph.is_output(value)):
            break
        chain.insert(0, value.producer)
        value = value.producer.inputs[0]
    return chain, value


def _as_one(chain: list[Node], x: Value) -> Rearrangement | None:
    whole: Rearrangement | None = Rearrangement.start(x.type.shape)
    for node in chain:
        whole = whole.then(node) if whole is not None else None
    return whole


def _at_reader(graph: Graph, reader: Node, back: Perm) -> int | None:
    """More transposes at a reader when its operand comes moved; None when it has to be moved by ``back`` for it."""
    if isinstance(reader.op, Transpose):
        return -is_identity(tuple(back[axis] for axis in reader.op.perm))
    if isinstance(reader.op, ReduceOp) and not reader.op.keepdims:
        kept = [axis for position, axis in enumerate(back) if position not in reader.op.axes]
        return 0 if kept == sorted(kept) else None
    if not isinstance(reader.op, Reshape):
        return None
    given = reader.inputs[0].type.shape
    whole = Rearrangement.start(tuple(given[axis] for axis in inverse_perm(back))).transposed(back)
    node, value = reader, reader.output
    reshaped = whole.reshaped(reader.op.shape)
    if reshaped is not None and reshaped.is_reshape:
        return 0
    while reshaped is not None and only_user_is(value, graph, Reshape):
        (node,) = value.users
        reshaped, value = reshaped.then(node), node.output
    if reshaped is None or not only_user_is(value, graph, Transpose):
        return None
    joined = reshaped.then(value.users[0])
    if joined is None or not (joined.is_reshape or joined.is_writable):
        return None
    return -joined.is_reshape


def _carry_over(graph: Graph, region: Region) -> None:
    perm = region.perm
    moved: dict[Value, Value] = {}
    for value in region.sources:
        node = value.producer
        name = f"{node.name if node is not None else value.name}/transpose"
        moved[value] = graph.add(Transpose(perm), value, name=name, source=node.source if node is not None else None)
        for user in region.readers_outside(value):
            if isinstance(user.op, Transpose) and user.op.perm == perm and user is not moved[value].producer:
                graph.replace(user.output, moved[value])
    for node in [node for node in graph.nodes if node in region.nodes]:
        op = node.op.permuted(perm)
        assert op is not None, "checked by _met"
        data = node.inputs[: node.op.parameters]
        operands = [moved[v] if v in moved else moved_operand(graph, node, v, perm) for v in data]
        old, name = node.output, node.name
        outside = bool(region.readers_outside(old)) or graph.is_output(old)
        new = graph.rebuild(node, op, [*operands, *node.inputs[len(data) :]]).output
        moved[old] = new
        if outside:
            back = graph.add(Transpose(inverse_perm(perm)), new, name=f"{name}/transpose", source=node.source)
            graph.replace(old, back)
    remove_dead_code(graph)
