"""In-place writes: which of them are plain computation, and a program without the others.

y = conv(x); y.relu_()                  nobody else looks at y's memory: relu, and y means its result from here on
y = conv(x); y[:, 0] = 0; use(y)        written through a view: torch rewrites the program without writes
self.count += 1; return x * self.count  the answer depends on what was called before: refused
"""

from __future__ import annotations

import operator
import warnings

import torch
import torch.fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from ..errors import ModelError
from .flat import own_path

_NO_WRITES = ("aten::detach_", "aten::requires_grad_")
_KEEPS = ("aten::dropout", "aten::feature_dropout", "aten::alpha_dropout", "aten::feature_alpha_dropout")
"""Ops that return their input itself in eval mode, which their schemas do not say."""


def written_argument(node: torch.fx.Node) -> torch.fx.Node | None:
    """The tensor that a call writes into; None for ordinary calls."""
    if not isinstance(node.target, torch._ops.OpOverload) or node.target._schema.name in _NO_WRITES:
        return None
    for position, argument in enumerate(node.target._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            given = node.args[position] if position < len(node.args) else node.kwargs.get(argument.name)
            return given if isinstance(given, torch.fx.Node) else None
    return None


def owner(node: torch.fx.Node) -> torch.fx.Node:
    """The call whose result a chain of in-place calls writes over; ordinary calls own their result themselves."""
    while (written := written_argument(node)) is not None:
        node = written
    return node


def without_writes(program: ExportedProgram) -> ExportedProgram:
    """The program with no write that something else could see.

    Raises ModelError when an output depends on memory that the model itself changes from call to call.
    """
    if not _has_transforms(program) and not _has_seen_writes(program):
        return program
    _without_kept(program)
    _selected(program)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own, about its own classes
        try:
            plain: ExportedProgram = program.run_decompositions({})
        except NotImplementedError as error:
            raise ModelError(
                "TP202",
                "a transform of torch.func in the model cannot be carried out before the graph exists",
                because=f"torch says: {str(error).splitlines()[0][:120]}",
                help="write what it computes as ordinary torch code: a derivative as a formula, vmap as a batched op",
            ) from error
    _refuse_state(plain)
    return plain


def _without_kept(program: ExportedProgram) -> None:
    """Takes out calls that return their input itself: torch, rewriting the program, takes the result for a copy."""
    for node in list(program.graph.nodes):
        kept = _kept_input(node)
        if kept is not None and not any(user.op == "output" for user in node.users):
            node.replace_all_uses_with(kept)
            program.graph.erase_node(node)


def _selected(program: ExportedProgram) -> None:
    """Takes the parts of ``unbind`` one by one: torch, rewriting the program, fixes free sizes where one is written."""
    for node in list(program.graph.nodes):
        if node.target is not operator.getitem or node.args[0].target is not torch.ops.aten.unbind.int:
            continue
        unbound, cell = node.args
        x, axis = unbound.args[0], (*unbound.args, *unbound.kwargs.values(), 0)[1]
        if any(user.op == "output" for user in node.users):
            continue
        with program.graph.inserting_before(node):
            part = program.graph.call_function(torch.ops.aten.select.int, (x, axis, cell))
        part.meta.update(node.meta)
        node.replace_all_uses_with(part)
        program.graph.erase_node(node)
        if not unbound.users:
            program.graph.erase_node(unbound)


def _kept_input(node: torch.fx.Node) -> torch.fx.Node | None:
    """What a call returns as it is, in eval mode; None for other calls."""
    if not isinstance(node.target, torch._ops.OpOverload) or node.target._schema.name not in _KEEPS or node.args[2]:
        return None
    return node.args[0] if isinstance(node.args[0], torch.fx.Node) else None


def _has_transforms(program: ExportedProgram) -> bool:
    """Whether torch.vmap or torch.func.grad are in the program as calls of their own; rewriting it carries them out."""
    module = "torch._functorch.predispatch"
    return any(getattr(node.target, "__module__", "") == module for node in program.graph.nodes)


def user_outputs(program: ExportedProgram) -> list[object]:
    """What the model returns, without the memory it changed."""
    (output,) = (node for node in program.graph.nodes if node.op == "output")
    specs = program.graph_signature.output_specs
    return [value for value, spec in zip(output.args[0], specs, strict=True) if spec.kind is OutputKind.USER_OUTPUT]


def _has_seen_writes(program: ExportedProgram) -> bool:
    """Whether a call writes into memory that is read under another name afterwards, or is not the model's own."""
    order = {node: position for position, node in enumerate(program.graph.nodes)}
    memory = _memory if _knows_memory(program) else _memory_by_schema
    sharing: dict[object, list[torch.fx.Node]] = {}
    for node in order:
        sharing.setdefault(memory(node), []).append(node)
    for write in order:
        written = written_argument(write)
        if written is None or _keeps(write):
            continue
        for other in sharing[memory(written)]:
            if other.op == "placeholder":
                return True
            under_another_name = owner(other) is not owner(written) and order[other] < order[write]
            if under_another_name and any(order[user] > order[write] for user in other.users):
                return True
    return False


def _keeps(write: torch.fx.Node) -> bool:
    """Whether a write leaves what was there: ``self.table = self.table.to(x.device)`` copies a buffer onto itself."""
    if not isinstance(write.target, torch._ops.OpOverload) or write.target._schema.name != "aten::copy_":
        return False
    written, read = write.args[:2]
    if not isinstance(written, torch.fx.Node) or not isinstance(read, torch.fx.Node):
        return False
    target, source = written.meta.get("val"), read.meta.get("val")
    if not isinstance(target, torch.Tensor) or not isinstance(source, torch.Tensor) or target.shape != source.shape:
        return False
    same_cells = target.storage_offset() == source.storage_offset() and target.stride() == source.stride()
    return same_cells and _memory(written) == _memory(read)


def _knows_memory(program: ExportedProgram) -> bool:
    """Whether the program's tensors say which of them share memory: those read from a file have each their own."""
    pairs = ((node, given) for node in program.graph.nodes for given in node.all_input_nodes)
    return any(_memory(node) is not None and _memory(node) == _memory(given) for node, given in pairs)


def _memory_by_schema(node: torch.fx.Node) -> torch.fx.Node:
    """The call that made the memory of a node's result, or may have: reshape gives a view where it can."""
    while True:
        source: object = node.args[0] if node.target is operator.getitem else None
        if isinstance(node.target, torch._ops.OpOverload):
            schema = node.target._schema
            shared = (i for i, a in enumerate(schema.arguments[: len(node.args)]) if a.alias_info is not None)
            place = 0 if _kept_input(node) is not None else next(shared, None)
            source = None if place is None else node.args[place]
        if not isinstance(source, torch.fx.Node):
            return node
        node = source


def _memory(node: torch.fx.Node) -> int | None:
    """An identity of the memory a node's result lies in."""
    kept = _kept_input(node)
    if kept is not None:
        return _memory(kept)
    value = node.meta.get("val")
    if not isinstance(value, torch.Tensor):
        return None
    return int(value.untyped_storage()._cdata)


def _refuse_state(program: ExportedProgram) -> None:
    """ModelError when an output depends on a buffer or parameter that the model writes."""
    signature = program.graph_signature
    kinds = (OutputKind.BUFFER_MUTATION, OutputKind.PARAMETER_MUTATION)
    changed = {spec.target for spec in signature.output_specs if spec.kind in kinds}
    if not changed:
        return
    placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
    state = {
        node: spec.target
        for node, spec in zip(placeholders, signature.input_specs, strict=True)
        if spec.target in changed and spec.kind is not InputKind.USER_INPUT
    }
    stack = [value for value in user_outputs(program) if isinstance(value, torch.fx.Node)]
    seen: set[torch.fx.Node] = set()
    while stack:
        node = stack.pop()
        if node in state:
            raise ModelError(
                "TP212",
                f'the answer depends on "{own_path(state[node])}", which the model changes whenever it is called',
                because="a graph computes the same from the same inputs; it remembers nothing between two calls",
                help="make the state an input and an output of the model, or leave it alone in eval mode",
            )
        if node not in seen:
            seen.add(node)
            stack.extend(node.all_input_nodes)
