"""How far a free size may go: what the traced program takes for granted about it.

    if x.shape[1] > 16: …       traced at 7, the program is the one for 16 and less
    self.table[: x.shape[1]]    a table of 64 rows serves 64 positions
    if x.shape[2] % 32: …       traced at 33, the program is the one for sizes that are no multiples of 32

torch.export settles such questions at the example's sizes and keeps them as guards over its symbols. What torch's own
code asks (is this tensor contiguous?) turns out otherwise for small sizes in ways that change no answer, so that only
its upper limits count; questions of the model's own code count on both sides, and where no range answers them they are
conditions.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from ..errors import TriportError
from ..graph.conditions import Condition
from ..graph.limits import Limit
from ..graph.steps import Steps
from .places import is_plumbing, listed, quoted
from .said import like_the_example, relation_in_words, rests_in_words
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

    limits       by free name of the graph
    lines        of the model that ask for these limits, by the same names
    conditions   questions of the model's own that no limit answers
    unsaid       those that shape arithmetic has no words for either, in words
    """

    limits: dict[str, Limit] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    conditions: list[Condition] = field(default_factory=list)
    unsaid: list[str] = field(default_factory=list)

    def notices(self) -> list[str]:
        ways = [condition.words for condition in self.conditions] + self.unsaid
        return [
            *(f'"{name}" is free, with {limit}{self._asked(name)}' for name, limit in self.limits.items()),
            *(f"the graph is for sizes for which {way}: for others the model takes another way" for way in ways),
        ]

    def _asked(self, name: str) -> str:
        lines = self.lines.get(name, [])
        return f": beyond, the model takes another way at {listed(lines)}" if lines else ""


def guarded_sizes(program: ExportedProgram, sizes: DimNames, examples: Mapping[str, int]) -> Guarded:
    """The limits and conditions of free dims, in the steps that they are counted in.

    examples   the sizes of the user's dims in the examples
    """
    steps = sizes.steps
    found = Guarded(_saved_ranges(program, steps))
    seen: set[str] = set()
    for guard, line in guards(program):
        symbols = {str(symbol) for symbol in guard.free_symbols}
        if not symbols <= steps.keys() or str(guard) in seen or sizes.settles(guard):
            continue  # about values of tensors, or true for every size
        seen.add(str(guard))
        names = {steps[symbol].name for symbol in symbols}
        if not line and (len(names) > 1 or _asks_for_one(guard)):
            continue  # between two dims, such as the two that an addition makes equal
        limit = _limit(_in_steps(guard, steps), both_sides=bool(line)) if len(names) == 1 else None
        if limit is not None and limit != Limit():
            (name,) = names
            found.limits[name] = found.limits.get(name, Limit()).meet(limit)
            found.lines.setdefault(name, []).extend([line] if line else [])
        elif limit is None and line and _fails_somewhere(_in_steps(guard, steps)):
            for part in guard.args if str(guard.func) == "And" else [guard]:
                _add_condition(found, part, line, sizes, examples)
    return found


def _add_condition(found: Guarded, guard: Any, line: str, sizes: DimNames, examples: Mapping[str, int]) -> None:
    given, steps = sizes.given, sizes.steps
    own = {name: examples[name] for name in sorted({given[str(symbol)] for symbol in guard.free_symbols})}
    words = ""
    if len(own) == 1:
        (name,) = own
        (counted, *_) = (steps[str(symbol)] for symbol in guard.free_symbols)
        words = rests_in_words(name, lambda size: counted.count(size) is not None and _holds(guard, size))
    try:
        left, relation, right = (sizes.translate(guard.args[0]), guard.rel_op, sizes.translate(guard.args[1]))
    except (AttributeError, TriportError):  # no relation, or not one of sizes
        found.unsaid.append(f"{words or like_the_example(own)}, as {line} asks")
        return
    words = words or relation_in_words(left, relation, right) or like_the_example(own)
    found.conditions.append(Condition(left, relation, right, f"{words}, as {line} asks"))


def _saved_ranges(program: ExportedProgram, steps: Mapping[str, Steps]) -> dict[str, Limit]:
    """The ranges that a user gave dims before a program was saved; a file holds no guards, but these."""
    if guards(program):
        return {}
    ranges: dict[str, Limit] = {}
    for symbol, values in program.range_constraints.items():
        counted = steps.get(str(symbol))
        least, most = str(values.lower), str(values.upper)
        if counted is not None and least.isdigit():
            first = counted.at_least(int(least)) if int(least) > SMALLEST else 1
            own = Limit(first, counted.at_most(int(most)) if most.isdigit() else None)
            ranges[counted.name] = ranges.get(counted.name, Limit()).meet(own)
    return {name: limit for name, limit in ranges.items() if limit != Limit()}


def _in_steps(guard: Any, steps: Mapping[str, Steps]) -> Any:
    """A guard over how many steps there are."""
    counted = {symbol: steps[str(symbol)].size(symbol) for symbol in guard.free_symbols if str(symbol) in steps}
    return guard.subs(counted, simultaneous=True) if any(symbol != size for symbol, size in counted.items()) else guard


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
    return all(str(guard.subs(sizes)) != "False" for guard, line in guards(program) if line)


def guards(program: ExportedProgram) -> list[tuple[Any, str]]:
    """Each guard, and the line of the model's own code that asks it; "" for torch's."""
    for node in program.graph.nodes:
        value = node.meta.get("val") if node.op == "placeholder" else None
        sizes: list[Any] = list(value.shape) if isinstance(value, torch.Tensor) else []
        for size in sizes:  # typed as ints, though free ones are SymInts
            if isinstance(size, torch.SymInt):
                environment: Any = size.node.shape_env
                return [(guard.expr, _own_line(guard.sloc)) for guard in environment.guards]
    return []


def _own_line(origin: Any) -> str:
    """``model.py:41 (if x.shape[1] > 5:)`` for a line outside torch."""
    frame = getattr(origin, "framework_loc", None)
    file, line = str(getattr(frame, "filename", torch.__file__)), int(getattr(frame, "lineno", None) or 0)
    return "" if Path(torch.__file__).parent in Path(file).parents or is_plumbing(file) else quoted(file, line)


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


_TRIED_TOGETHER = (2, 3, 4, 5, 7, 8, 9, 16, 31, 64, 127, LARGEST)
"""Sizes that conditions on several dims are tried with."""


def _fails_somewhere(guard: Any) -> bool:
    """Whether there are sizes for which a guard does not hold, as far as some of them tell."""
    symbols = sorted(guard.free_symbols, key=str)
    if len(symbols) < 2:
        return True
    tried = itertools.product(_TRIED_TOGETHER, repeat=2)
    return any(str(guard.subs(dict(zip(symbols, itertools.cycle(sizes), strict=False)))) == "False" for sizes in tried)
