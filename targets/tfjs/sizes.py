"""Shapes that are known only when the model runs, as int32 tensors computed from the sizes of the model's inputs.

Most shapes need none of this: one free dimension is written as -1. Sizes are whole numbers below 2**24, which the
kernels divide exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from ...exporter.errors import ModelError
from ...exporter.graph import Dim, evaluate_dim
from ...exporter.graph.steps import in_steps
from .writer import Writer


def shape_tensor(writer: Writer, dims: Sequence[Dim], role: str = "shape") -> str:
    """An int32 tensor [len(dims)]: a constant where the dims are known, else computed."""
    if all(isinstance(dim, int) for dim in dims):
        return writer.int32s(cast(Sequence[int], dims), role)
    return joined(writer, [_dim_tensor(writer, dim) for dim in dims], role)


def joined(writer: Writer, tensors: Sequence[str], role: str) -> str:
    """Vectors one after the other."""
    if len(tensors) == 1:
        return tensors[0]
    return writer.node("ConcatV2", [*tensors, writer.int32(0, "axis")], role, N=len(tensors))


def reshape_tensor(writer: Writer, dims: Sequence[Dim]) -> str:
    """A shape for Reshape: the free size is -1; of several, the one that takes the most arithmetic."""
    free = [axis for axis, dim in enumerate(dims) if not isinstance(dim, int)]
    if not free or 0 in dims:
        return shape_tensor(writer, dims)
    left = max(free, key=lambda axis: len(str(dims[axis])))
    return shape_tensor(writer, [-1 if axis == left else dim for axis, dim in enumerate(dims)])


def _dim_tensor(writer: Writer, dim: Dim) -> str:
    if isinstance(dim, int):
        return writer.int32s([dim], "size")
    if str(dim) not in writer.computed:
        sizes = {name: _Size(writer, _input_size(writer, name)) for name in sorted(dim.names)}
        # `Sym.evaluate` is arithmetic on whatever the names stand for: here it writes nodes instead of adding ints.
        writer.computed[str(dim)] = cast(_Size, evaluate_dim(dim, cast(Mapping[str, int], sizes))).tensor
    return writer.computed[str(dim)]


def _input_size(writer: Writer, name: str) -> str:
    """The size of a named dimension, [1], from the shape of the first input that has it."""
    if name in writer.computed:
        return writer.computed[name]
    for value in writer.graph.inputs:
        for axis, dim in enumerate(value.type.shape):
            steps = in_steps(dim)
            if steps is None or steps.name != name:
                continue
            shape = writer.node("Shape", [writer.tensor(value)], f"shape_of_{value.name}")
            bounds = [writer.int32s([number], "bound") for number in (axis, 1)]
            size = _Size(writer, writer.node("Slice", [shape, *bounds], name))
            if steps.rest:
                size = size + -steps.rest
            if steps.step > 1:
                size = size // steps.step
            writer.computed[name] = size.tensor
            return size.tensor
    raise ModelError(
        "TP104",
        f'"{writer.at}" cannot be written for TensorFlow.js: its shape depends on {name!r}, which is no input size',
        help=f"make one input dimension exactly {name!r}",
    )


class _Size:
    """A size that is computed while the model runs: an int32 tensor [1] on which arithmetic appends nodes."""

    def __init__(self, writer: Writer, tensor: str) -> None:
        self.writer = writer
        self.tensor = tensor

    def _with(self, op: str, other: _Size | int, swap: bool = False) -> _Size:
        operand = other.tensor if isinstance(other, _Size) else self.writer.int32s([other], "size")
        operands = [operand, self.tensor] if swap else [self.tensor, operand]
        return _Size(self.writer, self.writer.node(op, operands, "size"))

    def __mul__(self, other: _Size | int) -> _Size:
        return self if isinstance(other, int) and other == 1 else self._with("Mul", other)

    def __add__(self, other: _Size | int) -> _Size:
        return self if isinstance(other, int) and other == 0 else self._with("AddV2", other)

    def __floordiv__(self, other: _Size | int) -> _Size:
        return self._with("FloorDiv", other)

    def __mod__(self, other: _Size | int) -> _Size:
        return self._with("FloorMod", other)

    def __rfloordiv__(self, other: int) -> _Size:
        return self._with("FloorDiv", other, swap=True)

    def __rmod__(self, other: int) -> _Size:
        return self._with("FloorMod", other, swap=True)

    __rmul__ = __mul__
    __radd__ = __add__
