"""What a model asks of its free sizes: multiples, found in the conditions that torch noted while it traced the model.

x.reshape(b, c, h // 4, 4, w // 4, 4)     torch notes  Eq(3*s0*s1, 12*(s1//4)*s0)     height is a multiple of 4
torch.cat([x, up(pool(x))])               torch notes  Eq(2*(s1//2), s1)              height is a multiple of 2
if y.shape != x.shape: y = F.pad(…)       the same, or at a height of 17  Ne(2*(s1//2), s1), which is for `limits.py`

Where a condition holds for the sizes that leave the same rest as the example's, the dim is counted in such steps: then
the sizes behind it divide without remainder. Conditions of other kinds are limits (`limits.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import ExportedProgram

from .inputs import Inputs
from .limits import guards
from .places import listed
from .sympy_dims import DimNames

_PRIMES = (61, 67, 71, 73, 79, 83)
"""Sizes that are multiples of nothing."""

_MOST = 4096
"""A multiple beyond this is a coincidence of the model's own sizes, not a patch or a stride."""


@dataclass(frozen=True)
class Counting:
    """Sizes of a dim that leave the same rest as the example's.

    rest    from 0 on, or below where the example has not even one step
    lines   of the model, which takes another way there for other sizes; none: it cannot run for those at all
    """

    step: int
    rest: int
    lines: tuple[str, ...] = ()

    def __str__(self) -> str:
        more = self.rest % self.step
        return f"{more} more than a multiple of {self.step}" if more else f"a multiple of {self.step}"


Counted = Mapping[str, Counting]
"""{dim name: how it is counted}"""


def learned(program: ExportedProgram, inputs: Inputs, counted: Counted | None = None) -> DimNames:
    """The dims of a program's inputs by the user's names."""
    dims = DimNames({name: (counting.step, counting.rest) for name, counting in (counted or {}).items()})
    for name, fake in zip(inputs.tensors, _tensor_inputs(program), strict=True):
        for axis, dim in inputs.dynamic.get(name, {}).items():
            dims.learn(fake.shape[axis], dim)
    return dims


def steps_needed(program: ExportedProgram, inputs: Inputs) -> dict[str, Counting]:
    """Of the dims whose sizes have to leave the rest that the example's leaves."""
    names, sizes = learned(program, inputs).given, inputs.sizes
    needed: dict[str, Counting] = {}
    for condition, line in _conditions(program):
        if not condition.is_Relational or condition.rel_op != "==" or _holds_anyway(condition):
            continue
        wanted = {
            name: _counting(n, sizes[name], (line,) if line else ())
            for name, n in _denominators(condition, names).items()
            if n > 1
        }
        if wanted and learned(program, inputs, wanted).settles(condition):
            needed = merged(needed, wanted, sizes)
    return needed


def _holds_anyway(condition: Any) -> bool:
    """Whether a condition holds at sizes that are multiples of nothing, such as of an image padded to a multiple."""
    symbols = sorted(condition.free_symbols, key=str)
    tried = (_PRIMES[i:] + _PRIMES[:i] for i in range(len(_PRIMES)))
    return all(bool(condition.subs(dict(zip(symbols, sizes, strict=False)))) for sizes in tried)


def rounded(program: ExportedProgram, inputs: Inputs) -> dict[str, Counting]:
    """Of the dims that the model divides somewhere, rounding."""
    names = learned(program, inputs).given
    found: dict[str, int] = {}
    for node in program.graph.nodes:
        value = node.meta.get("val")
        sizes: list[Any] = list(value.shape) if isinstance(value, torch.Tensor) else [value]
        for size in sizes:
            if isinstance(size, torch.SymInt):
                for name, n in _denominators(size.node.expr, names).items():
                    found[name] = math.lcm(found.get(name, 1), n)
    return {name: _counting(n, inputs.sizes[name]) for name, n in found.items() if 1 < n <= _MOST}


def merged(one: Counted, other: Counted, sizes: Mapping[str, int]) -> dict[str, Counting]:
    """Steps that keep both rests."""
    both = dict(one)
    for name, counting in other.items():
        before = both.get(name, Counting(1, 0))
        lines = tuple(dict.fromkeys((*before.lines, *counting.lines)))
        both[name] = _counting(math.lcm(before.step, counting.step), sizes[name], lines)
    return both


def _counting(step: int, size: int, lines: tuple[str, ...] = ()) -> Counting:
    return Counting(step, size % step - (step if size < step else 0), lines)


def step_notices(counted: Counted) -> list[str]:
    """Sizes that are counted in steps."""
    return [
        f'"{name}" has to be {counting}{_elsewhere(counting.lines)}: the graph counts it in steps of {counting.step} '
        f"({name}_over_{counting.step})"
        for name, counting in counted.items()
    ]


def _elsewhere(lines: Sequence[str]) -> str:
    return f", as in the example, because for others the model takes another way at {listed(lines)}" if lines else ""


def _tensor_inputs(program: ExportedProgram) -> Iterator[torch.Tensor]:
    wanted = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in wanted and isinstance(node.meta.get("val"), torch.Tensor):
            yield node.meta["val"]


def _conditions(program: ExportedProgram) -> Iterator[tuple[Any, str]]:
    """The conditions on sizes under which the program is the model, with the model's own line; a file holds none."""
    for guard, line in guards(program):
        for part in guard.args if str(guard.func) == "And" else [guard]:
            yield part, line


def _denominators(expression: Any, names: Mapping[str, str]) -> dict[str, int]:
    """{dim name: n} for every rounded division by n of a single symbol, times or plus something."""
    found: dict[str, int] = {}
    for part in _parts(expression):
        if type(part).__name__ not in ("FloorDiv", "CleanDiv", "Mod", "PythonMod") or not part.args[1].is_Integer:
            continue
        symbols = {str(symbol) for symbol in part.args[0].free_symbols}
        if len(symbols) == 1 and symbols <= names.keys():
            name = names[symbols.pop()]
            found[name] = math.lcm(found.get(name, 1), abs(int(part.args[1])))
    return found


def _parts(expression: Any) -> Iterator[Any]:
    stack = [expression]
    while stack:
        part = stack.pop()
        yield part
        stack.extend(part.args)
