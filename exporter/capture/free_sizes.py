"""What a model asks of its free sizes: multiples, found in the conditions that torch noted while it traced the model.

x.reshape(b, c, h // 4, 4, w)     torch notes  Eq(3*s0*s1, 12*(s1//4)*s0)     height is a multiple of 4
torch.cat([x, up(pool(x))])       torch notes  Eq(2*(s1//2), s1)              height is a multiple of 2

Conditions that are no multiples are limits (`limits.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.export import ExportedProgram

from .inputs import Inputs
from .sympy_dims import DimNames

_PRIMES = (61, 67, 71, 73, 79, 83)
"""Sizes that are multiples of nothing."""

_MOST = 4096
"""A multiple beyond this is a coincidence of the model's own sizes, not a patch or a stride."""


def learned(program: ExportedProgram, inputs: Inputs, multiples: Mapping[str, int] | None = None) -> DimNames:
    """The dims of a program's inputs by the user's names.

    multiples   {dim name: n}: the dim is counted in steps of n
    """
    dims = DimNames(multiples or {})
    for name, fake in zip(inputs.tensors, _tensor_inputs(program), strict=True):
        for axis, dim in inputs.dynamic.get(name, {}).items():
            dims.learn(fake.shape[axis], dim)
    return dims


def multiples_needed(program: ExportedProgram, inputs: Inputs) -> dict[str, int]:
    """{dim name: n} of the dims that have to be multiples of n for the model to run at all."""
    names = learned(program, inputs).names
    needed: dict[str, int] = {}
    for condition in _conditions(program):
        if not condition.is_Relational or condition.rel_op != "==" or _holds_anyway(condition):
            continue
        wanted = {name: n for name, n in _denominators(condition, names).items() if n > 1}
        if wanted and learned(program, inputs, wanted).settles(condition):
            needed = merged(needed, wanted)
    return needed


def _holds_anyway(condition: Any) -> bool:
    """Whether a condition holds at sizes that are multiples of nothing, such as of an image padded to a multiple."""
    symbols = sorted(condition.free_symbols, key=str)
    tried = (_PRIMES[i:] + _PRIMES[:i] for i in range(len(_PRIMES)))
    return all(bool(condition.subs(dict(zip(symbols, sizes, strict=False)))) for sizes in tried)


def denominators(program: ExportedProgram, inputs: Inputs) -> dict[str, int]:
    """{dim name: n} of the dims that the model divides by n somewhere, rounding."""
    names = learned(program, inputs).names
    found: dict[str, int] = {}
    for node in program.graph.nodes:
        value = node.meta.get("val")
        sizes: list[Any] = list(value.shape) if isinstance(value, torch.Tensor) else [value]
        for size in sizes:
            if isinstance(size, torch.SymInt):
                found = merged(found, _denominators(size.node.expr, names))
    return {name: n for name, n in found.items() if 1 < n <= _MOST}


def merged(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Multiples that satisfy both."""
    return {name: math.lcm(one.get(name, 1), other.get(name, 1)) for name in (*one, *other)}


def multiple_notices(multiples: Mapping[str, int]) -> list[str]:
    """Sizes that are counted in steps."""
    return [
        f'"{name}" has to be a multiple of {n}: the graph counts it in steps of {n} ({name}_over_{n})'
        for name, n in multiples.items()
    ]


def _tensor_inputs(program: ExportedProgram) -> Iterator[torch.Tensor]:
    wanted = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in wanted and isinstance(node.meta.get("val"), torch.Tensor):
            yield node.meta["val"]


def _guards(program: ExportedProgram) -> list[Any]:
    """The conditions on sizes under which the program is the model; a saved program has none."""
    for fake in _tensor_inputs(program):
        sizes: list[Any] = list(fake.shape)
        for size in sizes:
            if isinstance(size, torch.SymInt):
                return list(size.node.shape_env.guards)
    return []


def _conditions(program: ExportedProgram) -> Iterator[Any]:
    for guard in _guards(program):
        yield from guard.expr.args if guard.expr.is_Boolean and str(guard.expr.func) == "And" else [guard.expr]


def _denominators(expression: Any, names: Mapping[str, str]) -> dict[str, int]:
    """{dim name: n} for every rounded division by n of a single symbol, times or plus something."""
    found: dict[str, int] = {}
    for part in _parts(expression):
        if type(part).__name__ not in ("FloorDiv", "CleanDiv", "Mod", "PythonMod") or not part.args[1].is_Integer:
            continue
        symbols = {str(symbol) for symbol in part.args[0].free_symbols}
        if len(symbols) == 1 and symbols <= names.keys():
            found = merged(found, {names[symbols.pop()]: abs(int(part.args[1]))})
    return found


def _parts(expression: Any) -> Iterator[Any]:
    stack = [expression]
    while stack:
        part = stack.pop()
        yield part
        stack.extend(part.args)
