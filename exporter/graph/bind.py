"""Checking named arrays against a graph's inputs, and reading the sizes of its free dims from them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import UsageError
from ..wording import with_article
from .conditions import check_conditions
from .dims import Dim, Sym, evaluate_dim
from .graph import Graph
from .limits import check_limits
from .steps import in_steps
from .types import CODES, Array, TensorType


def bind_sizes(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, int]:
    """The sizes of the free dims that the arrays imply; UsageError when a name, dtype, shape or size does not fit."""
    sizes = bind_types({value.name: value.type for value in graph.inputs}, inputs)
    check_limits(graph, sizes)
    check_conditions(graph, sizes)
    return sizes


def bind_types(types: Mapping[str, TensorType], inputs: Mapping[str, Array]) -> dict[str, int]:
    """`bind_sizes` for any table of named types."""
    check_names(types, inputs)
    sizes: dict[str, int] = {}
    for name, expected in types.items():
        array: object = inputs[name]
        if not isinstance(array, np.ndarray | np.generic):
            raise UsageError(
                "TP003",
                f'input "{name}": expected a numpy array {expected}, got {with_article(type(array).__name__)}',
                help=f"pass {name}.numpy()"
                if hasattr(array, "numpy")
                else f'pass np.asarray({name}, "{expected.dtype.value}")',
            )
        if array.dtype != expected.dtype.numpy:
            raise UsageError(
                "TP003",
                f'input "{name}": expected {expected}, got {array.dtype}{list(array.shape)}',
                help=f"pass {_in_dtype(name, array, expected)}",
            )
        if array.ndim == expected.rank:
            for dim, size in zip(expected.shape, array.shape, strict=True):
                steps = in_steps(dim)
                if steps is not None and (count := steps.count(size)) is not None:
                    sizes.setdefault(steps.name, count)
    for name, expected in types.items():
        array = inputs[name]
        if array.ndim != expected.rank or any(
            not _fits(dim, size, sizes) for dim, size in zip(expected.shape, array.shape, strict=True)
        ):
            raise UsageError("TP002", f'input "{name}": expected {expected}, got {array.dtype}{list(array.shape)}')
    return sizes


def _in_dtype(name: str, array: Array | np.generic, expected: TensorType) -> str:
    """The expression that makes of an array what the input takes: of real numbers codes, where codes are taken."""
    of, dtype = expected.quantization, expected.dtype
    if of is None or array.dtype.kind != "f":
        return f'{name}.astype("{dtype.value}")'
    lowest = CODES[dtype]
    codes = f"np.rint({name} / {of.scale:.9g}) + {of.zero_point}"
    return f'np.clip({codes}, {lowest}, {lowest + 255}).astype("{dtype.value}"): codes stand for real numbers'


def _fits(dim: Dim, size: int, sizes: Mapping[str, int]) -> bool:
    """Whether a dim has this size, as far as the free names are known."""
    if isinstance(dim, Sym) and not dim.names <= sizes.keys():
        steps = in_steps(dim)
        return steps is None or steps.count(size) is not None
    return evaluate_dim(dim, sizes) == size


def check_names(types: Mapping[str, TensorType], inputs: Mapping[str, Array]) -> None:
    """UsageError when an input is missing or unknown."""
    listed = ", ".join(f"{name} {wanted}" for name, wanted in types.items())
    given: object = inputs
    if not isinstance(given, Mapping):
        kind = with_article(type(given).__name__)
        raise UsageError("TP004", f"inputs are arrays by name, got {kind}", help=f"the inputs are: {listed}")
    missing = [name for name in types if name not in inputs]
    unknown = [name for name in inputs if name not in types]
    if missing or unknown:
        parts = [f"missing: {', '.join(missing)}"] if missing else []
        parts += [f"unknown: {', '.join(unknown)}"] if unknown else []
        raise UsageError(
            "TP004",
            f"inputs do not match ({'; '.join(parts)})",
            help=f"the inputs are: {listed}",
        )
