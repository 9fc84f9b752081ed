"""torch's symbolic sizes (sympy expressions over s0, s1 …) as dims over the user's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._sympy.numbers import int_oo
from torch.utils._sympy.value_ranges import ValueRanges, bound_sympy

from ..errors import ModelError, TriportError
from ..graph import Dim, Sym
from ..graph.limits import Limit
from ..graph.steps import Steps, in_steps

MAX_DENOMINATOR = 1024
"""Factors that are multiples of this part (0.5, 1.25 …) are exact in float for any size; 0.3 is not one of them."""


_CHOICES = ("Max", "Min")


class DimNames:
    """Which of torch's symbols stands for which free dim.

    counted   {dim name: (n, rest)}: the dim ``height`` is ``height_over_n*n+rest``
    limits    {free name of the graph: how far it may go}
    """

    def __init__(self, counted: Mapping[str, tuple[int, int]] | None = None) -> None:
        self._given: dict[str, str] = {}
        self._counted = dict(counted or {})
        self._dims: dict[str, Dim] = {}
        self.limits: Mapping[str, Limit] = {}

    @property
    def given(self) -> dict[str, str]:
        """{symbol of torch's: the user's name for it}"""
        return dict(self._given)

    @property
    def steps(self) -> dict[str, Steps]:
        """{symbol of torch's: what of the graph it is}"""
        return {symbol: steps for symbol, dim in self._dims.items() if (steps := in_steps(dim))}

    def learn(self, size: int | torch.SymInt, name: str) -> None:
        """A free dim of an input: its symbol is ``name`` from here on."""
        if not isinstance(size, torch.SymInt):
            return
        expression = size.node.expr
        known = self._given.setdefault(str(expression), name)
        if not expression.is_Symbol or known != name:
            other = f'"{known}"' if expression.is_Symbol else str(expression)
            raise ModelError(
                "TP205",
                f'the model makes the dimension "{name}" equal to {other}',
                because="it adds or compares tensors of these two sizes",
                help=f'give both the name "{known}" in dynamic=' if known != name else "leave it out of dynamic=",
            )
        step, rest = self._counted.get(name, (1, 0))
        self._dims[str(expression)] = Sym.named(f"{name}_over_{step}" if step > 1 else name) * step + rest

    def dim(self, size: int | torch.SymInt) -> Dim:
        """The dim a size stands for."""
        return int(size) if isinstance(size, int) else self.translate(size.node.expr)

    def translate(self, expression: Any) -> Dim:
        """The dim that one of torch's expressions over its symbols stands for."""
        return _translate(self._settled(expression), self._dims)

    def settles(self, condition: Any) -> bool:
        """Whether a condition is an equation whose sides are the same for every size."""
        if not condition.is_Relational or condition.rel_op != "==":
            return False
        try:
            left, right = (self.translate(side) for side in condition.args)
        except TriportError:
            return False
        return left == right

    def _settled(self, expression: Any) -> Any:
        """The expression without each Max and Min that has one result whatever the free sizes."""
        if expression.is_Symbol or not any(choice in str(expression) for choice in _CHOICES):
            return expression
        counted = {symbol: self.steps.get(str(symbol), Steps("")) for symbol in expression.free_symbols}
        ranges = {
            symbol: ValueRanges(steps.size(limit.least), int_oo if limit.most is None else steps.size(limit.most))
            for symbol, steps in counted.items()
            for limit in [self.limits.get(steps.name, Limit())]
        }
        return expression.replace(lambda part: type(part).__name__ in _CHOICES, lambda part: _choose(part, ranges))


def _translate(expression: Any, dims: Mapping[str, Dim]) -> Dim:
    if expression.is_Integer:
        return int(expression)
    if expression.is_Symbol:
        if str(expression) not in dims:
            raise ModelError(
                "TP206",
                "how many cells a result has depends on the values of a tensor",
                because="a mask as an index, nonzero and .item() give sizes that are known only when the graph runs",
                help="keep the shape: torch.where(mask, x, 0), topk with a fixed k, or a mask as a further output",
            )
        return dims[str(expression)]
    kind = type(expression).__name__
    if kind in ("TruncToInt", "FloorToInt"):
        numerator, denominator = _fraction(expression.args[0], dims)
        return numerator // denominator  # sizes are not negative: truncation is the floor
    parts = [_translate(part, dims) for part in expression.args]
    if expression.is_Add:
        total: Dim = 0
        for part in parts:
            total = total + part
        return total
    if expression.is_Mul:
        product: Dim = 1
        for part in parts:
            product = product * part
        return product
    if kind in ("FloorDiv", "CleanDiv"):
        return parts[0] // parts[1]
    if kind in ("Mod", "PythonMod"):
        return parts[0] % parts[1]
    if expression.is_Pow and isinstance(parts[1], int) and parts[1] > 0:
        power: Dim = 1
        for _ in range(parts[1]):
            power = power * parts[0]
        return power
    raise _inexpressible(expression)


def _fraction(expression: Any, dims: Mapping[str, Dim]) -> tuple[Dim, int]:
    """A product of sizes and factors such as 1.5, whose rounding in float is none, as numerator and denominator."""
    if expression.is_Float:
        numerator, denominator = float(expression).as_integer_ratio()
        if denominator > MAX_DENOMINATOR:
            raise _inexpressible(expression)
        return numerator, denominator
    if expression.is_Mul:
        top: Dim = 1
        bottom = 1
        for part in expression.args:
            numerator_of_part, denominator = _fraction(part, dims)
            top, bottom = top * numerator_of_part, bottom * denominator
        return top, bottom
    if type(expression).__name__ == "ToFloat":
        return _translate(expression.args[0], dims), 1
    return _translate(expression, dims), 1


def _inexpressible(expression: object) -> ModelError:
    return ModelError("TP205", f"a size is {expression}, which shape arithmetic here cannot express")


def _choose(expression: Any, ranges: dict[Any, ValueRanges[Any]]) -> Any:
    """The argument of a Max or Min that is the result for all sizes in these ranges; else the Max or Min itself."""
    bounds = [(part, bound_sympy(part, ranges)) for part in expression.args]
    largest = type(expression).__name__ == "Max"
    for part, own in bounds:
        others = [bound for other, bound in bounds if other is not part]
        if all(own.lower >= other.upper if largest else own.upper <= other.lower for other in others):
            return part
    return expression
