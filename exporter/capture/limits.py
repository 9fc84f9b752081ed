"""How far a free size may go: what the traced program takes for granted about it.

    if x.shape[1] > 16: …       traced at 7, the program is the one for 16 and less
    self.table[: x.shape[1]]    a table of 64 rows serves 64 positions

torch.export settles such questions at the example's sizes and keeps them as guards over its symbols. What torch's own
code asks (is this tensor contiguous?) turns out otherwise for small sizes in ways that change no answer, so that only
its upper limits count; questions of the model's own code count on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from ..graph.limits import Limit
from .sympy_dims import DimNames

LARGEST = 2**16 + 1
"""A size that stands for any: a guard that holds here sets no upper limit. A prime, so that it is no multiple."""

SMALLEST = 2
"""torch.export's own least size of a free dim, which says nothing about the model."""

_TRIED = 66
"""Smaller sizes are tried one by one: torch.export knows of none below 2, and 1 is like the others."""


@dataclass
class Guarded:
    """What guards say.

    limits       by free dim
    conditions   questions of the model's own that no limit answers, in words: ``Mod(length, 2) = 0 (model.py:41)``
    """

    limits: dict[str, Limit] = field(default_factory=dict)
    conditions: list[str] = field(default_factory=list)


def guarded_sizes(program: ExportedProgram, sizes: DimNames) -> Guarded:
    """The limits and conditions of free dims, in the steps that they are counted in."""
    names, steps = sizes.names, sizes.steps
    found = Guarded(_saved_ranges(program, names, steps))
    seen: set[str] = set()
    for guard, place in _guards(program):
        dims = sorted({names.get(str(symbol), "") for symbol in guard.free_symbols})
        if len(dims) != 1 or not dims[0] or str(guard) in seen or sizes.settles(guard):
            continue  # between two dims, such as the two that an addition makes equal; or true for every size
        seen.add(str(guard))
        if not place and _asks_for_one(guard):
            continue
        limit = _limit(_in_steps(guard, steps), both_sides=bool(place))
        if limit is None:
            if place:
                found.conditions.append(f"{_spelt(guard, names)} ({place})")
        elif limit != Limit():
            found.limits[dims[0]] = found.limits.get(dims[0], Limit()).meet(limit)
    return found


def _saved_ranges(program: ExportedProgram, names: Mapping[str, str], steps: Mapping[str, int]) -> dict[str, Limit]:
    """The ranges that a user gave dims before a program was saved; a file holds no guards, but these."""
    if _guards(program):
        return {}
    ranges: dict[str, Limit] = {}
    for symbol, values in program.range_constraints.items():
        name, step = names.get(str(symbol)), steps.get(str(symbol), 1)
        least, most = str(values.lower), str(values.upper)
        if name is not None and least.isdigit():
            first = -(-int(least) // step) if int(least) > SMALLEST else 1
            own = Limit(first, int(most) // step if most.isdigit() else None)
            ranges[name] = ranges.get(name, Limit()).meet(own)
    return {name: limit for name, limit in ranges.items() if limit != Limit()}


def _in_steps(guard: Any, steps: Mapping[str, int]) -> Any:
    """A guard over how many steps there are."""
    counted = {symbol: symbol * steps.get(str(symbol), 1) for symbol in guard.free_symbols}
    return guard.subs(counted, simultaneous=True) if any(steps.get(str(s), 1) > 1 for s in counted) else guard


def takes_the_way_of(program: ExportedProgram, examples: Iterable[torch.Tensor]) -> bool:
    """Whether the model's own code answers its questions about sizes alike at the sizes of these examples."""
    sizes: dict[Any, int] = {}
    wanted = set(program.graph_signature.user_inputs)
    fakes = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and node.name in wanted]
    for fake, example in zip(fakes, examples, strict=True):
        free: list[Any] = list(fake.shape)  # typed as ints, though free ones are SymInts
        for size, given in zip(free, example.shape, strict=True):
            if isinstance(size, torch.SymInt) and size.node.expr.is_Symbol:
                sizes[size.node.expr] = given
    return all(str(guard.subs(sizes)) != "False" for guard, place in _guards(program) if place)


def _guards(program: ExportedProgram) -> list[tuple[Any, str]]:
    """Each guard, and where the model's own code asks it; "" for torch's."""
    for node in program.graph.nodes:
        value = node.meta.get("val") if node.op == "placeholder" else None
        sizes: list[Any] = list(value.shape) if isinstance(value, torch.Tensor) else []
        for size in sizes:  # typed as ints, though free ones are SymInts
            if isinstance(size, torch.SymInt):
                environment: Any = size.node.shape_env
                return [(guard.expr, _own_place(guard.sloc)) for guard in environment.guards]
    return []


def _own_place(origin: Any) -> str:
    """``model.py:41`` for a line outside torch."""
    frame = getattr(origin, "framework_loc", None)
    file = Path(getattr(frame, "filename", torch.__file__))
    return "" if Path(torch.__file__).parent in file.parents else f"{file.name}:{getattr(frame, 'lineno', 0)}"


def _asks_for_one(guard: Any) -> bool:
    """Whether torch compares a size with a number, which it does to find axes of 1: broadcasting, contiguous or not."""
    return type(guard).__name__ in ("Equality", "Unequality") and any(side.is_number for side in guard.args)


def _limit(guard: Any, *, both_sides: bool) -> Limit | None:
    """The sizes for which a guard over one dim holds; None when they are no range.

    both_sides   False: only where they end counts
    """
    small = [_holds(guard, size) for size in range(2, _TRIED)]
    if _holds(guard, LARGEST):
        most = None
    elif not any(small):
        return None
    else:
        held = max(size for size, holds in enumerate(small, 2) if holds)
        failing = LARGEST
        while failing - held > 1:
            middle = (held + failing) // 2
            held, failing = (middle, failing) if _holds(guard, middle) else (held, middle)
        most = held
    inside = small if most is None else small[: most - 1]
    first = inside.index(True) if True in inside else len(inside)
    if not both_sides:
        return Limit(1, most)
    if not all(inside[first:]):
        return None
    return Limit(first + 2 if first else 1, most)


def _holds(guard: Any, size: int) -> bool:
    """Whether a guard is true with all its symbols at one size; one that cannot be told counts as true."""
    return str(guard.subs(dict.fromkeys(guard.free_symbols, size))) != "False"


def _spelt(guard: Any, names: Mapping[str, str]) -> str:
    """A guard with the user's names for torch's symbols."""
    text = str(guard)
    for symbol in sorted(guard.free_symbols, key=lambda symbol: -len(str(symbol))):
        text = text.replace(str(symbol), names[str(symbol)])
    return text
