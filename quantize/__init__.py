"""Quantized graphs, whose integers are the same on every port.

    quantized = tp.quantize(graph, "int8", calibration=samples)

`quantize` is a function and the name of this package: the package can be called, and is the function.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from .from_file import QuantizedFile, quantize_file
from .options import SCHEMES
from .plan import NodePlan, Plan, ValuePlan
from .quantize import make_plan, quantize
from .table import PlanRow, plan_rows

__all__ = [
    "SCHEMES",
    "NodePlan",
    "Plan",
    "PlanRow",
    "QuantizedFile",
    "ValuePlan",
    "make_plan",
    "plan_rows",
    "quantize",
    "quantize_file",
]


class _Callable(ModuleType):
    """This package, as a function."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return quantize(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
