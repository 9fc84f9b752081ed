"""Shapes that are known only when the model runs, as int64 tensors computed from the sizes of the model's inputs.

Most shapes need none of this: one free dimension is written as -1. Where several are free, the sizes come from Shape of
a graph input, never of a value in the middle, so that ONNX Runtime can work them out before anything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from ...exporter.graph import Dim, Node, evaluate_dim
from ...exporter.graph.steps import in_steps
from .writer import OnnxWriter


def shape_tensor(writer: OnnxWriter, node: Node, dims: Sequence[Dim], role: str) -> str:
    """The name of an int64 tensor [len(dims)]: an initialiser where all dims are known, else computed."""
    if all(isinstance(dim, int) for dim in dims):
        return writer.ints(node, role, cast(Sequence[int], dims))
    pieces = [_dim(writer, node, dim) for dim in dims]
    if len(pieces) == 1:
        return pieces[0]
    return writer.node("Concat", node, pieces, output=f"{node.name}/{role}", axis=0)


def _dim(writer: OnnxWriter, node: Node, dim: Dim) -> str:
    """The name of an int64 tensor [1] that holds one dim."""
    if isinstance(dim, int):
        return _number(writer, dim)
    if str(dim) not in writer.sizes:
        names = {name: _Size(writer, node, _input_size(writer, node, name)) for name in sorted(dim.names)}
        # `Sym.evaluate` is arithmetic on whatever the names stand for: here it writes nodes instead of adding ints.
        result = evaluate_dim(dim, cast(Mapping[str, int], names))
        writer.sizes[str(dim)] = cast(_Size, result).tensor
    return writer.sizes[str(dim)]


def _number(writer: OnnxWriter, number: int) -> str:
    return writer.initializer(f"size/{number}", np.array([number], np.int64))


def _input_size(writer: OnnxWriter, node: Node, name: str) -> str:
    """The size of a named dim, read off the first input that has it."""
    if name in writer.sizes:
        return writer.sizes[name]
    for value in writer.inputs:
        for axis, dim in enumerate(value.type.shape):
            steps = in_steps(dim)
            if steps is None or steps.name != name:
                continue
            shape = writer.node("Shape", node, [value], output=f"size/{name}/of_{value.name}")
            size = writer.node("Gather", node, [shape, _number(writer, axis)], output=f"size/{dim}", axis=0)
            if steps.rest:
                size = (_Size(writer, node, size) + -steps.rest).tensor
            if steps.step > 1:
                size = writer.node("Div", node, [size, _number(writer, steps.step)], output=f"size/{name}")
            writer.sizes[name] = size
            return size
    raise KeyError(f"no input has the free dim {name}")


class _Size:
    """A dim that ONNX nodes compute, with Python's operators."""

    def __init__(self, writer: OnnxWriter, node: Node, tensor: str) -> None:
        self.writer = writer
        self.node = node
        self.tensor = tensor

    def _apply(self, op_type: str, left: str, right: str, **attributes: int) -> _Size:
        output = f"size/step_{len(self.writer.nodes)}"  # size/2 is the number 2
        return _Size(
            self.writer, self.node, self.writer.node(op_type, self.node, [left, right], output=output, **attributes)
        )

    def __rfloordiv__(self, other: int) -> _Size:
        return self._apply("Div", _number(self.writer, other), self.tensor)

    def __rmod__(self, other: int) -> _Size:
        return self._apply("Mod", _number(self.writer, other), self.tensor)

    def _other(self, other: int | _Size) -> str:
        return other.tensor if isinstance(other, _Size) else _number(self.writer, other)

    def __add__(self, other: int | _Size) -> _Size:
        return self if other == 0 else self._apply("Add", self.tensor, self._other(other))

    __radd__ = __add__

    def __mul__(self, other: int | _Size) -> _Size:
        return self if other == 1 else self._apply("Mul", self.tensor, self._other(other))

    __rmul__ = __mul__

    def __floordiv__(self, other: int | _Size) -> _Size:
        return self._apply("Div", self.tensor, self._other(other))  # sizes are not negative: truncation is the floor

    def __mod__(self, other: int | _Size) -> _Size:
        return self._apply("Mod", self.tensor, self._other(other))
