"""torch's symbolic sizes (sympy expressions over s0, s1 …) as dims over the user's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._sympy.numbers import int_oo
from torch.utils._sympy.value_ranges import ValueRanges, bound_sympy

from ..errors import ModelError
from ..graph import Dim, Sym
from ..graph.limits import Limit

MAX_DENOMINATOR = 1024
"""Factors that are multiples of this part (0.5, 1.25 …) are exact in float for any size; 0.3 is not one of them."""


_CHOICES = ("Max", "Min")


class DimNames:
    """Which of torch's symbols stands for which free dim."""

    def __init__(self) -> None:
        self._dims: dict[str, Dim] = {}
        self.limits: Mapping[str, Limit] = {}

    @property
    def names(self) -> dict[str, str]:
        """{symbol of torch's: free dim}"""
        return {symbol: str(dim) for symbol, dim in self._dims.items() if str(dim).isidentifier()}

    def learn(self, size: int | torch.SymInt, name: str) -> None:
        """A free dim of an input: its symbol is ``name`` from here on."""
        if not isinstance(size, torch.SymInt):
            return
        expression = size.node.expr
        known = self._dims.setdefault(str(expression), Sym.named(name))
        if not expression.is_Symbol or known != Sym.named(name):
            raise ModelError(
                "TP205",
                f"the model makes the dimension {name} equal to {known if expression.is_Symbol else expression}",
                help="give equal dimensions one name, and leave those that must be multiples out of dynamic=",
            )

    def dim(self, size: int | torch.SymInt) -> Dim:
        """The dim a size stands for."""
        return int(size) if isinstance(size, int) else _translate(self._settled(size.node.expr), self._dims)

    def _settled(self, expression: Any) -> Any:
        """The expression without each Max and Min that has one result whatever the free sizes."""
        if not any(choice in str(expression) for choice in _CHOICES):
            return expression
        limits = {
            symbol: self.limits.get(self.names.get(str(symbol), ""), Limit()) for symbol in expression.free_symbols
        }
        ranges = {
            symbol: ValueRanges(limit.least, int_oo if limit.most is None else limit.most)
            for symbol, limit in limits.items()
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
