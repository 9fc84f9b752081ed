"""Ops without a converter, written by torch itself with ops that have one: losses, distances and other compositions."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.export import ExportedProgram

from .convert import _converter, _is_plumbing
from .known import Known

ROUNDS = 6
"""cross_entropy takes four: what torch writes an op with may have to be written with others in its turn."""


def without_compositions(program: ExportedProgram) -> ExportedProgram:
    """The program with every unknown op decomposed; as it was, so that the user's own op is named, if one stays."""
    plain = program
    for _ in range(ROUNDS):
        unknown = _unknown(plain)
        if not unknown:
            return plain
        table = _decompositions(unknown)
        if len(table) < len(unknown):
            return program
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's own, about its own classes
            try:
                plain = plain.run_decompositions(table)
            except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
                return program  # torch's own way of writing the op does not take these arguments
    return program


def _unknown(program: ExportedProgram) -> list[torch._ops.OperatorBase]:
    known = Known(program)
    found = {
        node.target: None
        for node in program.graph.nodes
        if node.op == "call_function" and node not in known and not _is_plumbing(node) and _converter(node) is None
    }
    return [target for target in found if isinstance(target, torch._ops.OperatorBase)]


def _decompositions(ops: list[torch._ops.OperatorBase]) -> dict[torch._ops.OperatorBase, Callable[..., Any]]:
    """What torch writes these ops with, for those that it does; not its references, which name options otherwise."""
    table: Any = torch.export.default_decompositions()
    composite = dict(table.items())
    written = {
        op: function
        for op, function in torch._decomp.decomposition_table.items()
        if function.__module__ == "torch._decomp.decompositions"
    }
    return {op: composite.get(op) or written[op] for op in ops if op in written or op in composite}
