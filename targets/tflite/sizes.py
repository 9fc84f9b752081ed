"""Shapes that are known only when the model runs, as int32 tensors computed from the sizes of the model's inputs.

Most shapes need none of this: one free dimension is written as -1. Where two are free, the sizes come from SHAPE of a
graph input (not of a value in the middle: that would cut the part XNNPACK runs in two).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from ...exporter.errors import ModelError
from ...exporter.graph import Dim, DType, Node, TensorType, evaluate_dim
from ...exporter.graph.steps import in_steps
from .registry import OTHER_PORTS
from .schema import schema
from .writer import Writer

_ONE = TensorType(DType.INT32, (1,))


def shape_tensor(writer: Writer, node: Node, dims: Sequence[Dim], role: str = "shape") -> int:
    """An int32 tensor [len(dims)]: a constant where the dims are known, else computed."""
    if all(isinstance(dim, int) for dim in dims):
        return writer.int32s(cast(Sequence[int], dims), role)
    pieces = [_dim_tensor(writer, node, dim) for dim in dims]
    if len(pieces) == 1:
        return pieces[0]
    type = TensorType(DType.INT32, (len(pieces),))
    return writer.step("CONCATENATION", pieces, node, role, type, schema.ConcatenationOptionsT())


def _dim_tensor(writer: Writer, node: Node, dim: Dim) -> int:
    if isinstance(dim, int):
        return writer.int32s([dim], "size")
    if str(dim) not in writer.computed_dims:
        sizes = {name: _Size(writer, node, _input_size(writer, node, name)) for name in sorted(dim.names)}
        # `Sym.evaluate` is arithmetic on whatever the names stand for: here it writes operators instead of adding ints.
        result = evaluate_dim(dim, cast(Mapping[str, int], sizes))
        writer.computed_dims[str(dim)] = cast(_Size, result).tensor
    return writer.computed_dims[str(dim)]


def _input_size(writer: Writer, node: Node, name: str) -> int:
    """The size of a named dimension, [1], from the shape of the first input that has it."""
    if name in writer.computed_dims:
        return writer.computed_dims[name]
    for value in writer.graph.inputs:
        for axis, dim in enumerate(value.type.shape):
            steps = in_steps(dim)
            if steps is None or steps.name != name:
                continue
            shape_type = TensorType(DType.INT32, (value.type.rank,))
            options = schema.ShapeOptionsT(outType=schema.TensorType.INT32)
            shape = writer.step("SHAPE", [writer.tensor(value)], node, f"shape of {value.name}", shape_type, options)
            bounds = [writer.int32s([number], "bound") for number in (axis, axis + 1, 1)]
            slice_options = schema.StridedSliceOptionsT()
            size = writer.step("STRIDED_SLICE", [shape, *bounds], node, name, _ONE, slice_options)
            if steps.rest:
                size = (_Size(writer, node, size) + -steps.rest).tensor
            if steps.step > 1:
                size = (_Size(writer, node, size) // steps.step).tensor
            writer.computed_dims[name] = size
            return size
    raise ModelError(
        "TP104",
        f"{node.describe()} cannot be written to TFLite: its shape depends on {name!r}, which is no size of an input",
        at=str(node.source) or None,
        help=f"make one input dimension exactly {name!r}, or {OTHER_PORTS}",
    )


class _Size:
    """A size the runtime computes: an int32 tensor [1] on which arithmetic appends operators."""

    def __init__(self, writer: Writer, node: Node, tensor: int) -> None:
        self.writer = writer
        self.node = node
        self.tensor = tensor

    def _with(self, code: str, other: _Size | int, options: object, swap: bool = False) -> _Size:
        operand = other.tensor if isinstance(other, _Size) else self.writer.int32s([other], "size")
        operands = [operand, self.tensor] if swap else [self.tensor, operand]
        return _Size(self.writer, self.node, self.writer.step(code, operands, self.node, "size", _ONE, options))

    def __mul__(self, other: _Size | int) -> _Size:
        if isinstance(other, int) and other == 1:
            return self
        return self._with("MUL", other, schema.MulOptionsT())

    def __add__(self, other: _Size | int) -> _Size:
        if isinstance(other, int) and other == 0:
            return self
        return self._with("ADD", other, schema.AddOptionsT())

    def __floordiv__(self, other: _Size | int) -> _Size:
        return self._with("FLOOR_DIV", other, schema.FloorDivOptionsT())

    def __mod__(self, other: _Size | int) -> _Size:
        return self._with("FLOOR_MOD", other, schema.FloorModOptionsT())

    def __rfloordiv__(self, other: int) -> _Size:
        return self._with("FLOOR_DIV", other, schema.FloorDivOptionsT(), swap=True)

    def __rmod__(self, other: int) -> _Size:
        return self._with("FLOOR_MOD", other, schema.FloorModOptionsT(), swap=True)

    __rmul__ = __mul__
    __radd__ = __add__


def constant_shape(dims: Sequence[Dim]) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]] | None:
    """The dims with -1 for the free one, as RESHAPE takes them; None when more than one is free."""
    free = [dim for dim in dims if not isinstance(dim, int)]
    if len(free) > 1:
        return None
    return np.array([dim if isinstance(dim, int) else -1 for dim in dims], np.int32)
