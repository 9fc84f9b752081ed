"""Lets stretches of linear layers, and what lies between them, compute on matrices instead of stacks of them.

before:  %1 = reshape(%x, [batch, 14, 96])     %2 = linear(%1, w)    %3 = layer_norm(%2)    %4 = linear(%3, v)
         %5 = reshape(%4, [batch, 14, 4, 24])
after:   %1 = reshape(%x, [batch*14, 96])      %2 = linear(%1, w)    %3 = layer_norm(%2)    %4 = linear(%3, v)
         %5 = reshape(%4, [batch, 14, 4, 24])

For a target whose kernel takes matrices only, and which would have to reshape before and after each layer. Ops that
treat every row alike go along; a stretch is turned where fewer reshapes are left than its layers would need.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..graph import Graph, Node, Shape, Value
from ..graph.dims import product
from ..ops import (
    BinaryOp,
    Dequantize,
    Lookup,
    OpAttrs,
    Quantize,
    QuantizedAdd,
    QuantizedLinear,
    QuantizedMul,
    QuantizedSoftmax,
    QuantizedSub,
    ReduceOp,
    Reshape,
    UnaryOp,
)
from ..ops.base import normalize_axis

_CELLWISE = (UnaryOp, BinaryOp, Quantize, Dequantize, Lookup, QuantizedAdd, QuantizedSub, QuantizedMul)


def linear_on_rows(graph: Graph) -> bool:
    """True when a stretch was turned."""
    leads = {node.output.type.shape[:-1] for node in graph.nodes if _is_layer(node)}
    stretches = [stretch for lead in leads if len(lead) > 1 for stretch in _stretches(graph, lead)]
    paying = [stretch for stretch in stretches if stretch.pays(graph)]
    for stretch in paying:
        stretch.turn(graph)
    return bool(paying)


def _is_layer(node: Node) -> bool:
    return isinstance(node.op, QuantizedLinear)


@dataclass
class _Stretch:
    """Nodes that treat the rows of tensors [*lead, cells] alike, in order, and pass such tensors to one another."""

    lead: Shape
    nodes: list[Node] = field(default_factory=list)

    def given(self) -> list[Value]:
        """Tensors of rows that come from elsewhere."""
        own = {node.output for node in self.nodes}
        read = dict.fromkeys(value for node in self.nodes for value in node.inputs)
        return [value for value in read if value not in own and _has_rows(value, self.lead)]

    def taken(self, graph: Graph) -> list[tuple[Value, list[Node]]]:
        """Tensors that are read elsewhere, and the nodes that have to find them as they were."""
        members, found = set(self.nodes), []
        for node in self.nodes:
            readers = [user for user in node.output.users if user not in members and not isinstance(user.op, Reshape)]
            if readers or graph.is_output(node.output):
                found.append((node.output, readers))
        return found

    def pays(self, graph: Graph) -> bool:
        reshapes = sum(not isinstance(getattr(value.producer, "op", None), Reshape) for value in self.given())
        return reshapes + len(self.taken(graph)) < 2 * sum(map(_is_layer, self.nodes)) - 1

    def turn(self, graph: Graph) -> None:
        rows, rank = product(self.lead), len(self.lead) + 1
        taken = [(value, value.type.shape, readers) for value, readers in self.taken(graph)]
        turned: dict[Value, Value] = {}
        for value in self.given():
            before = value.producer
            x = before.inputs[0] if before is not None and isinstance(before.op, Reshape) else value
            shape: Shape = (rows, value.type.shape[-1])
            turned[value] = x if x.type.shape == shape else graph.add(Reshape(shape), x, name=f"{value.name}/rows")
        for node in self.nodes:
            inputs = [turned.get(value) or _beside_rows(graph, value) for value in node.inputs]
            graph.set_op(node, _on_matrices(node.op, rank), inputs)
        for value, stacked, readers in taken:
            back = graph.add(Reshape(stacked), value, name=f"{value.name}/stacked")
            for reader in readers:
                graph.set_inputs(reader, [back if read is value else read for read in reader.inputs])
            for name in [name for name, output in graph.outputs.items() if output is value]:
                graph.set_output(name, back)


def _stretches(graph: Graph, lead: Shape) -> list[_Stretch]:
    """Nodes that treat rows alike and share a tensor of rows, as result or operand, in order; those with a layer."""
    part_of: dict[Node, _Stretch] = {}
    first_with: dict[Value, Node] = {}
    for node in graph.nodes:
        if not _treats_rows_alike(node, lead):
            continue
        part_of[node] = part = _Stretch(lead, [node])
        for value in (*node.inputs, node.output):
            other = part_of[first_with.setdefault(value, node)] if _has_rows(value, lead) else part
            if other is not part:
                other.nodes += part.nodes
                part_of |= dict.fromkeys(part.nodes, other)
                part = other
    order = {node: place for place, node in enumerate(graph.nodes)}
    found = list({id(part): part for part in part_of.values() if any(map(_is_layer, part.nodes))}.values())
    for part in found:
        part.nodes.sort(key=order.__getitem__)
    return found


def _treats_rows_alike(node: Node, lead: Shape) -> bool:
    op, rank = node.op, len(lead) + 1
    if len(node.outputs) != 1 or not _has_rows(node.output, lead) or not node.inputs:
        return False
    if _is_layer(node):
        return _has_rows(node.inputs[0], lead)
    if isinstance(op, ReduceOp):
        return op.keepdims and op.axes == (rank - 1,)
    if isinstance(op, QuantizedSoftmax):
        return normalize_axis(op.axis, rank) == rank - 1
    if not isinstance(op, _CELLWISE):
        return False
    return all(_has_rows(value, lead) or _is_a_row(value, rank) for value in node.inputs)


def _has_rows(value: Value, lead: Shape) -> bool:
    return not value.is_constant and value.type.rank == len(lead) + 1 and value.type.shape[:-1] == lead


def _is_a_row(value: Value, rank: int) -> bool:
    """A constant that every row meets alike."""
    return value.is_constant and value.type.rank <= rank and all(size == 1 for size in value.type.shape[:-1])


def _beside_rows(graph: Graph, value: Value) -> Value:
    """A constant with no more axes than a matrix."""
    if not value.is_constant or value.type.rank <= 2:
        return value
    return graph.rebuild_constant(value, value.array().reshape(-1))


def _on_matrices(op: OpAttrs, rank: int) -> OpAttrs:
    if isinstance(op, ReduceOp):
        return replace(op, axes=(1,))
    if isinstance(op, QuantizedSoftmax):
        return replace(op, axis=1)
    return op
