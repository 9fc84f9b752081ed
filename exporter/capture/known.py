"""What of a program depends on weights and numbers alone, and torch's own answer to it.

A window, an inverse of a weight, complex rotations held in a buffer: a graph needs their result, not a meaning for each
of the ops that they are computed with.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from .mutation import owner, written_argument

_RANDOM = torch.Tag.nondeterministic_seeded


def held_tensor(program: ExportedProgram, target: str, kind: InputKind) -> torch.Tensor:
    """A parameter, buffer or constant."""
    table = program.constants if kind is InputKind.CONSTANT_TENSOR else program.state_dict
    found = table[target] if target in table else program.constants[target]
    assert isinstance(found, torch.Tensor)
    return found


class Known:
    """The calls of a program that read no input of the user's."""

    def __init__(self, program: ExportedProgram) -> None:
        self._program = program
        self._answers: dict[torch.fx.Node, Any] = {}
        self._placeholders: dict[torch.fx.Node, tuple[str, InputKind]] = {}
        nodes = program.graph.nodes
        written = {owner(node) for node in nodes if written_argument(node) is not None}
        placeholders = [node for node in nodes if node.op == "placeholder"]
        for node, spec in zip(placeholders, program.graph_signature.input_specs, strict=True):
            if spec.kind is not InputKind.USER_INPUT and spec.target is not None and node not in written:
                self._placeholders[node] = (spec.target, spec.kind)
        self._nodes: set[torch.fx.Node] = set(self._placeholders)
        for node in nodes:
            if node.op == "call_function" and node not in written and self._follows(node):
                self._nodes.add(node)

    def __contains__(self, node: torch.fx.Node) -> bool:
        return node in self._nodes

    def _follows(self, node: torch.fx.Node) -> bool:
        """Whether a call computes the same each time from what is known."""
        if not all(argument in self._nodes for argument in node.all_input_nodes):
            return False
        if node.target is operator.getitem:
            return True
        if not isinstance(node.target, torch._ops.OpOverload) or node.target.namespace != "aten":
            return False
        return not node.target._schema.is_mutable and _RANDOM not in node.target.tags

    def answer(self, node: torch.fx.Node) -> Any:
        """What torch computes there: a tensor, or a tuple or list of them."""
        stack = [node]
        while stack:
            current = stack[-1]
            missing = [argument for argument in current.all_input_nodes if argument not in self._answers]
            if missing:
                stack += missing
                continue
            stack.pop()
            if current not in self._answers:
                self._answers[current] = self._compute(current)
        return self._answers[node]

    def _compute(self, node: torch.fx.Node) -> Any:
        if node in self._placeholders:
            return held_tensor(self._program, *self._placeholders[node]).detach()
        arguments = torch.fx.map_arg((node.args, node.kwargs), lambda argument: self._answers[argument])
        assert callable(node.target)
        with torch.no_grad():
            return node.target(*arguments[0], **arguments[1])
