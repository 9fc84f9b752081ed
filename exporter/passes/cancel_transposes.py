"""Moves transposes towards the outputs until they meet their inverse, become a reshape, or a weight takes them in.

before:  %1 = transpose(%x, p)    %2 = relu(%1)    %3 = transpose(%2, p⁻¹)
after:   %3 = relu(%x)

Rules, applied until none fires:
  merge    two transposes in a row are one; the identity is none
  sink     op(transpose(a), transpose(b)) becomes transpose(op'(a, b)), op' being what the op's layout rule says;
           constants are permuted here, an operand that only has axes of size 1 to move is reshaped, and one whose
           transpose is computed anyway is read there
  reduce   a reduction that drops the moved axes drops the transpose with them
  reshape  a reshape that keeps apart what the transpose moved is done before it
and then, which may let the others fire again:
  free     a transpose that moves only axes of size 1 is a reshape
  pull     op(transpose(a), b) whose readers all transpose back becomes op'(a, transpose⁻¹(b)): one less
  chain    transposes with nothing but reshapes between are one transpose between two reshapes, or none
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..graph import Graph, Node, Shape, Value
from ..ops import ReduceOp, Reshape, Transpose, UnaryOp
from ..ops.base import Perm, inverse_perm
from .axis_groups import reshape_before
from .base import only_user_is
from .dead_code import remove_dead_code
from .rearrange import Rearrangement

Rule = Callable[[Graph, Node], bool]


def cancel_transposes(graph: Graph) -> bool:
    """True when a transpose was moved or removed."""
    changed = False
    while _sweep(graph, _move) or _sweep(graph, _make_free) or _sweep(graph, _pull) or _sweep(graph, _join_chain):
        changed = True
    return changed


def settle(graph: Graph) -> bool:
    """`cancel_transposes` where they stand: none is moved past an op that computes."""
    changed = False
    while _sweep(graph, _settle):
        changed = True
    return changed


def _settle(graph: Graph, node: Node) -> bool:
    if isinstance(node.op, Transpose):
        return _merge(graph, node, node.op) or _make_free(graph, node) or _join_chain(graph, node)
    if isinstance(node.op, ReduceOp) and not node.op.keepdims:
        return only_user_is(node.inputs[0], graph, ReduceOp) and _reduce(graph, node, node.op)
    return False


def _sweep(graph: Graph, rule: Rule) -> bool:
    """Applies a rule to every node that is in use."""
    fired = False
    for node in graph.nodes:
        # else left behind by an earlier step
        if any(value.users or graph.is_output(value) for value in node.outputs):
            fired = rule(graph, node) or fired
    if fired:
        remove_dead_code(graph)
    return fired


def _move(graph: Graph, node: Node) -> bool:
    if isinstance(node.op, Transpose):
        return _merge(graph, node, node.op)
    if isinstance(node.op, Reshape):
        return _reshape(graph, node, node.op)
    if isinstance(node.op, ReduceOp) and not node.op.keepdims:
        return _reduce(graph, node, node.op)
    return _sink(graph, node)


def is_identity(perm: Perm) -> bool:
    return perm == tuple(range(len(perm)))


def moves_only_ones(shape: Shape, perm: Perm) -> bool:
    """Whether the axes of another size than 1 keep their order."""
    kept = [axis for axis in perm if shape[axis] != 1]
    return kept == sorted(kept)


def _merge(graph: Graph, node: Node, op: Transpose) -> bool:
    if is_identity(op.perm):
        graph.replace(node.output, node.inputs[0])
        return True
    first = node.inputs[0].producer
    if first is None or not isinstance(first.op, Transpose):
        return False
    perm = tuple(first.op.perm[axis] for axis in op.perm)
    merged = first.inputs[0]
    if not is_identity(perm):
        merged = graph.rebuild(node, Transpose(perm), [merged]).output
    graph.replace(node.output, merged)
    return True


def _make_free(graph: Graph, node: Node) -> bool:
    if not isinstance(node.op, Transpose) or not moves_only_ones(node.inputs[0].type.shape, node.op.perm):
        return False
    x = node.inputs[0]
    graph.replace(node.output, graph.rebuild(node, Reshape(node.output.type.shape), [x]).output)
    return True


def _reduce(graph: Graph, node: Node, op: ReduceOp) -> bool:
    before = node.inputs[0].producer
    if before is None or not isinstance(before.op, Transpose):
        return False
    name, perm = node.name, before.op.perm
    axes = tuple(sorted(perm[axis] for axis in op.axes))
    kept = [axis for axis in perm if axis not in axes]
    y = graph.rebuild(node, replace(op, axes=axes), before.inputs[:1]).output
    if kept != sorted(kept):
        order = tuple(sorted(kept).index(axis) for axis in kept)
        y = graph.add(Transpose(order), y, name=f"{name}/transpose", source=node.source)
    graph.replace(node.output, y)
    return True


def _reshape(graph: Graph, node: Node, op: Reshape) -> bool:
    before = node.inputs[0].producer
    if before is None or not isinstance(before.op, Transpose) or not only_user_is(node.inputs[0], graph, Reshape):
        return False
    swapped = reshape_before(before.op.perm, node.inputs[0].type.shape, op.shape)
    if swapped is None:
        return False
    name, (shape, perm) = node.name, swapped
    y = graph.rebuild(node, Reshape(shape), before.inputs).output
    graph.replace(node.output, graph.add(Transpose(perm), y, name=f"{name}/transpose", source=node.source))
    return True


def _sink(graph: Graph, node: Node) -> bool:
    for perm in _perms(node):
        back = inverse_perm(perm)
        if all(_is_free(node, value, back, perm) for value in node.inputs[: node.op.parameters]):
            return _sink_by(graph, node, perm)
    return False


def _pull(graph: Graph, node: Node) -> bool:
    """`_sink` where one operand has to be transposed for it, which pays when every reader transposes back."""
    for perm in _perms(node):
        back = inverse_perm(perm)
        alone = all(value.users == (node,) for value in node.inputs if _transposed_by(value) == perm)
        costly = [v for v in node.inputs[: node.op.parameters] if not _is_free(node, v, back, perm)]
        one = len(costly) == 1 and costly[0].type.rank == len(perm)
        if alone and one and _is_transposed_back(graph, node.output, back):
            return _sink_by(graph, node, perm)
    return False


def _sink_by(graph: Graph, node: Node, perm: Perm) -> bool:
    """Moves the transpose by ``perm`` behind the node; False when the op has no form for that."""
    name, back = node.name, inverse_perm(perm)
    op = node.op.permuted(back)
    if op is None:
        return False
    data = node.inputs[: node.op.parameters]
    operands = [_permuted(graph, node, value, back, perm) for value in data]
    y = graph.rebuild(node, op, [*operands, *node.inputs[len(data) :]]).output
    graph.replace(node.output, graph.add(Transpose(perm), y, name=f"{name}/transpose", source=node.source))
    return True


def _join_chain(graph: Graph, node: Node) -> bool:
    """One transpose for all that stand before this one with only reshapes between, as far as they can be joined."""
    if not isinstance(node.op, Transpose):
        return False
    chain = [node]
    while (before := chain[0].inputs[0].producer) is not None and isinstance(before.op, Reshape | Transpose):
        if len(before.output.users) > 1 or graph.is_output(before.output):
            break
        chain.insert(0, before)
    for first, start in enumerate(chain[:-1]):
        if isinstance(start.op, Transpose):
            joined = _joined(chain[first:])
            if joined is not None and (joined.is_reshape or joined.is_writable):
                graph.replace(node.output, joined.build(graph, start.inputs[0], node))
                return True
    return False


def _joined(chain: list[Node]) -> Rearrangement | None:
    """What the chain does as a whole; None when its reshapes cut across one another's axes."""
    whole: Rearrangement | None = Rearrangement.start(chain[0].inputs[0].type.shape)
    for node in chain:
        whole = whole.then(node) if whole is not None else None
    return whole


def _is_transposed_back(graph: Graph, value: Value, back: Perm) -> bool:
    """Whether everybody who reads the value, through cellwise ops, transposes it by ``back``."""
    if graph.is_output(value) or not value.users:
        return False
    return all(
        _is_transposed_back(graph, user.output, back)
        if isinstance(user.op, UnaryOp)
        else isinstance(user.op, Transpose) and user.op.perm == back
        for user in value.users
    )


def _transposed_by(value: Value) -> Perm | None:
    """The permutation by which the value was just transposed."""
    producer = value.producer
    return producer.op.perm if producer is not None and isinstance(producer.op, Transpose) else None


def _perms(node: Node) -> list[Perm]:
    """The permutations by which operands of the output's rank were transposed, each once."""
    if len(node.outputs) != 1:
        return []
    perms = (_transposed_by(value) for value in node.inputs[: node.op.parameters])
    return list(dict.fromkeys(perm for perm in perms if perm is not None and len(perm) == node.output.type.rank))


def _is_free(node: Node, value: Value, back: Perm, perm: Perm) -> bool:
    """Whether the operand can be had with its axes moved back at no cost."""
    if value.is_constant or _transposed_by(value) == perm:
        return True
    if moves_only_ones(full_shape(value, len(perm)), back):
        return True
    # Reading another's transpose only pays, and only ends, when those of this node go.
    alone = all(v.users == (node,) for v in node.inputs if _transposed_by(v) == perm)
    return alone and _already(node, value, back) is not None


def _already(node: Node, value: Value, back: Perm) -> Value | None:
    """The value with its axes moved back, where that is computed anyway: for another reader than ``node``."""
    moved = (user.output for user in value.users if isinstance(user.op, Transpose) and user.op.perm == back)
    return next((y for y in moved if any(reader is not node for reader in y.users)), None)


def full_shape(value: Value, rank: int) -> Shape:
    return (1,) * (rank - value.type.rank) + value.type.shape


def _permuted(graph: Graph, node: Node, value: Value, back: Perm, perm: Perm) -> Value:
    """The operand with its axes moved back."""
    producer = value.producer
    if producer is not None and _transposed_by(value) == perm:
        return producer.inputs[0]
    return moved_operand(graph, node, value, back)


def moved_operand(graph: Graph, node: Node, value: Value, perm: Perm) -> Value:
    """The operand, broadcast to the rank of ``perm``, with its axes moved."""
    if all(dim == 1 for dim in value.type.shape):
        return value
    full = full_shape(value, len(perm))
    if value.is_constant:
        array = value.array().reshape(value.type.with_shape(full).static_shape()).transpose(perm)
        return graph.rebuild_constant(value, np.ascontiguousarray(array))
    moved = tuple(full[axis] for axis in perm)
    if not moves_only_ones(full, perm):
        found = _already(node, value, perm)
        return found or graph.add(Transpose(perm), value, name=f"{node.name}/transpose", source=node.source)
    if moved == value.type.shape:
        return value
    return graph.add(Reshape(moved), value, name=f"{node.name}/reshape", source=node.source)
