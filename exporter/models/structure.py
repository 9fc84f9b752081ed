"""Shapes, symbolic tensors and nested structures: what layers are told before any number flows.

A *shape* is a tuple whose first entry is the batch and whose free dimensions are ``None``: ``(None, 28, 28, 1)``.
A *structure* is a single item, or a list, tuple or dict of items: one input, several inputs, named inputs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from ..errors import UsageError

if TYPE_CHECKING:
    from .layers.base import Layer

Shape = tuple[int | None, ...]

DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "float64": torch.float64,
    "int8": torch.int8,
    "uint8": torch.uint8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "bool": torch.bool,
}
"""The dtypes an input may have, by the name that configs and messages use."""


def dtype_name(dtype: object) -> str:
    """``"float32"`` for ``torch.float32``, ``numpy.float32`` or the string; raises UsageError TP003 for others."""
    name = dtype if isinstance(dtype, str) else str(getattr(dtype, "name", None) or getattr(dtype, "__name__", dtype))
    name = name.removeprefix("torch.")
    if name not in DTYPES:
        raise UsageError(
            "TP003", f"dtype {dtype!r} is not one an input can have", help=f"use one of: {', '.join(DTYPES)}"
        )
    return name


@dataclass(eq=False)
class Node:
    """One use of a layer on symbolic tensors: its first argument (None: a model's input), and the others by name.

    ``training`` is what the call asked for; None follows the model. ``arguments`` may hold symbolic tensors and data.
    """

    layer: Layer
    inputs: Any
    training: bool | None = None
    outputs: Any = None
    arguments: dict[str, Any] = field(default_factory=dict)

    def needed(self) -> list[SymbolicTensor]:
        """The symbolic tensors that the call takes, in order."""
        leaves = flatten([self.inputs, self.arguments])
        return [leaf for leaf in leaves if isinstance(leaf, SymbolicTensor)]


@dataclass(eq=False, repr=False)
class SymbolicTensor:
    """A tensor with a shape and a dtype and no numbers yet; ``Input`` makes the first, calling layers the others."""

    shape: Shape
    dtype: str
    node: Node = field(repr=False)
    name: str | None = None

    def __repr__(self) -> str:
        return f"<SymbolicTensor {format_shape(self.shape)} {self.dtype} from {self.node.layer.name!r}>"

    def __bool__(self) -> bool:
        raise UsageError(
            "TP011", "a symbolic tensor has no value yet, so Python cannot branch on it", at=self.node.layer.where()
        )

    def __add__(self, other: object) -> SymbolicTensor:
        return _arithmetic("Add", self, other, scale=1.0, offset=1.0)

    __radd__ = __add__

    def __sub__(self, other: object) -> SymbolicTensor:
        return _arithmetic("Subtract", self, other, scale=1.0, offset=-1.0)

    def __rsub__(self, other: object) -> SymbolicTensor:
        return _arithmetic("Subtract", self, other, scale=-1.0, offset=1.0)

    def __mul__(self, other: object) -> SymbolicTensor:
        return _arithmetic("Multiply", self, other, scale=None, offset=0.0)

    __rmul__ = __mul__

    def __truediv__(self, other: object) -> SymbolicTensor:
        if isinstance(other, int | float):
            return self * (1.0 / other)
        return NotImplemented

    def __neg__(self) -> SymbolicTensor:
        return self * -1.0


def _arithmetic(
    layer_name: str, left: SymbolicTensor, right: object, *, scale: float | None, offset: float
) -> SymbolicTensor:
    """``left (op) right`` as a layer: a merge layer for two tensors, ``Rescaling`` for a number."""
    from . import layers

    merged: SymbolicTensor = NotImplemented
    if isinstance(right, SymbolicTensor):
        merged = layers.CLASSES[layer_name]()([left, right])
    elif isinstance(right, int | float):
        factor = float(right) if scale is None else scale
        merged = layers.Rescaling(scale=factor, offset=offset * float(right))(left)
    return merged


def map_structure(function: Callable[[Any], Any], structure: Any) -> Any:
    """``function`` on every item, the nesting kept."""
    if isinstance(structure, list | tuple):
        return [map_structure(function, item) for item in structure]
    if isinstance(structure, Mapping):
        return {key: map_structure(function, item) for key, item in structure.items()}
    return function(structure)


def flatten(structure: Any) -> list[Any]:
    """The items in order; dicts in the order of their keys' insertion."""
    if isinstance(structure, list | tuple):
        return [leaf for item in structure for leaf in flatten(item)]
    if isinstance(structure, Mapping):
        return [leaf for item in structure.values() for leaf in flatten(item)]
    return [structure]


def is_shape(item: object) -> bool:
    """Whether ``item`` is one shape rather than a structure of shapes."""
    return isinstance(item, tuple) and all(size is None or isinstance(size, int) for size in item)


def format_shape(shape: Any) -> str:
    """``[batch, 28, 28, 1]``: the first free dimension is the batch, other free ones are ``any``."""
    if not is_shape(tuple(shape) if not isinstance(shape, Mapping) else shape):
        return ", ".join(format_shape(item) for item in flatten_shapes(shape))
    names = [
        "batch" if size is None and axis == 0 else "any" if size is None else str(size)
        for axis, size in enumerate(shape)
    ]
    return "[" + ", ".join(names) + "]"


def flatten_shapes(shapes: Any) -> list[Shape]:
    """Like ``flatten``, with a tuple of sizes as one item."""
    if is_shape(shapes):
        return [tuple(shapes)]
    items = shapes.values() if isinstance(shapes, Mapping) else shapes
    return [leaf for item in items for leaf in flatten_shapes(item)]


def with_batch(shape: object, what: str = "shape") -> Shape:
    """``(28, 28, 1)``, ``[28, 28, 1]`` or ``28`` → ``(None, 28, 28, 1)``. Raises UsageError TP002 for anything else."""
    sizes = [shape] if isinstance(shape, int) else shape
    if not isinstance(sizes, list | tuple) or not all(
        size is None or (isinstance(size, int) and not isinstance(size, bool) and size > 0) for size in sizes
    ):
        raise UsageError(
            "TP002",
            f"{what} has to be positive sizes without the batch, such as (28, 28, 1); received {shape!r}",
            at=user_source(),
        )
    return (None, *sizes)


def user_source() -> str | None:
    """``"train.py:41"``: the innermost frame that lies outside this package and outside torch."""
    package = __name__.partition(".")[0]
    frame = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in (package, "torch") and not frame.f_code.co_filename.startswith("<frozen"):
            name = frame.f_code.co_filename.replace("\\", "/").rpartition("/")[2]
            return f"{name}:{frame.f_lineno}"
        if frame.f_back is None:
            break
        frame = frame.f_back
    return None
