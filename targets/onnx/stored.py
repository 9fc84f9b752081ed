"""Weights in fewer bits: initialisers that a few nodes expand, which ONNX Runtime computes once as it loads the file.

    float16   Cast
    8 bits    Cast, Mul by the steps
    4 bits    Gather of two numbers a byte from a table of 256 pairs, Reshape, Mul by the steps

DequantizeLinear would say the same. ONNX Runtime leaves it in the graph, though, and expands the weights in every run,
which for one row of 2048 features takes five times as long as the product; and for 4 bits it came with opset 21.
A linear layer in blocks of 4 bits is MatMulNBits (ops/linear.py), which reads the codes where it multiplies.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from ...exporter.graph import Array
from ...exporter.graph.stored import Stored, StoredForm, stored_form_of, unpack_halves

PAIRS = "stored/pairs"
"""int8 [256, 2]: the codes in the low and in the high half of a byte; as float32 they would take 2 kB."""


def store_initializers(
    initializers: dict[str, Array], forms: tuple[StoredForm, ...]
) -> tuple[dict[str, Array], list[onnx.NodeProto]]:
    """What the file holds instead, and the nodes that make the initialisers of it, to stand before all others."""
    expansion = _Expansion()
    for name, array in initializers.items():
        stored = stored_form_of(array, forms)
        if stored is None:
            expansion.kept[name] = array
        else:
            expansion.add(name, stored)
    return expansion.kept, expansion.nodes


class _Expansion:
    """Initialisers, and nodes that compute others of them."""

    def __init__(self) -> None:
        self.kept: dict[str, Array] = {}
        self.nodes: list[onnx.NodeProto] = []

    def add(self, name: str, stored: Stored) -> None:
        """The nodes at whose end ``name`` stands."""
        shape = stored.codes.shape
        if stored.steps is None:
            codes = self._constant(f"{name}/float16", stored.codes)
            self._node("Cast", [codes], name, to=TensorProto.FLOAT)
            return
        beside = _beside(stored.steps, stored.view, shape)
        looked_at = stored.view if beside is None else shape
        factors = stored.steps[:, None, :, None] if beside is None else beside
        operands = [self._numbers(name, stored, looked_at), self._constant(f"{name}/steps", factors)]
        if looked_at == shape:
            self._node("Mul", operands, name)
            return
        product = self._node("Mul", operands, f"{name}/product")
        self._node("Reshape", [product, self._constant(f"{name}/shape", np.asarray(shape, np.int64))], name)

    def _numbers(self, name: str, stored: Stored, shape: tuple[int, ...]) -> str:
        """The codes as float32. An odd one of 4 bits would stand alone in its byte: such arrays take 8."""
        numbers = f"{name}/numbers"
        if stored.bits == 8 or stored.codes.size % 2:
            codes = self._constant(f"{name}/codes", stored.codes.reshape(shape))
            return self._node("Cast", [codes], numbers, to=TensorProto.FLOAT)
        packed = self._constant(f"{name}/codes", stored.packed())
        pairs = f"{PAIRS}/float32"
        if PAIRS not in self.kept:
            codes = self._constant(PAIRS, unpack_halves(np.arange(256, dtype=np.uint8), (256, 2)))
            self._node("Cast", [codes], pairs, to=TensorProto.FLOAT)
        both = self._node("Cast", [packed], f"{name}/bytes", to=TensorProto.INT32)
        looked_up = self._node("Gather", [pairs, both], f"{name}/pairs")
        sizes = self._constant(f"{name}/view", np.asarray(shape, np.int64))
        return self._node("Reshape", [looked_up, sizes], numbers)

    def _constant(self, name: str, array: Array) -> str:
        self.kept[name] = array
        return name

    def _node(self, op_type: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=f"{output}/expanded", **attributes))
        return output


def _beside(steps: Array, view: tuple[int, int, int, int], shape: tuple[int, ...]) -> Array | None:
    """The steps as an array that broadcasts against the shape; None where the shape has no axis for them."""
    if steps.size == 1:
        return steps.reshape([1] * len(shape))
    for axis, size in enumerate(shape):
        if view[0] == 1 and size == view[2] and math.prod(shape[:axis]) == view[1]:
            return steps.reshape([size if i == axis else 1 for i in range(len(shape))])
    return None
