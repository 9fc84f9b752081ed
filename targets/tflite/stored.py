"""Weights in fewer bits: a constant that DEQUANTIZE turns into float32, once for an interpreter.

The kernels then read float32. Handed the codes themselves, LiteRT's hybrid kernels would round the activations too. Of
codes in blocks DEQUANTIZE makes garbage (LiteRT 2.3): they are multiplied by their steps in an operator of their own,
in every run.

XNNPACK unpacks float16 and 8 bits itself and is as fast as with float32; products with 4 bits it leaves to the kernels
of LiteRT. What has few cells to a step gains least by 4 bits, and takes 8.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from ...exporter.graph.stored import Stored
from .flatfile import TensorQuantization
from .schema import STORED_TYPES, schema

if TYPE_CHECKING:
    from .writer import Writer


LEAST_FOR_4_BITS = 32
"""Cells of a filter, or of a block: with fewer, the steps are a good part of the bytes, and time is worth more."""


def write_stored(writer: Writer, stored: Stored, name: str) -> int:
    """The float32 tensor, whose cells stand in the file in fewer bits."""
    shape = stored.codes.shape
    if stored.steps is not None and stored.codes.size < LEAST_FOR_4_BITS * stored.steps.size:
        stored = replace(stored, bits=8)
    if stored.steps is None:
        return _dequantized(writer, stored, shape, name, None)
    if stored.steps.size == 1:
        return _dequantized(writer, stored, shape, name, TensorQuantization((float(stored.steps[0, 0]),), (0,)))
    axis = _axis(stored.view, shape)
    if axis is not None:
        steps = tuple(stored.steps.reshape(-1).tolist())
        return _dequantized(writer, stored, shape, name, TensorQuantization(steps, (0,) * len(steps), axis))
    numbers = _dequantized(writer, stored, stored.view, f"{name}/codes", TensorQuantization((1.0,), (0,)))
    factors = writer.constant(stored.steps[:, None, :, None], f"{name}/steps")
    product = writer.float_tensor(stored.view, f"{name}/product")
    writer.operator("MUL", [numbers, factors], product, schema.MulOptionsT())
    options = schema.ReshapeOptionsT(newShape=list(shape))
    return writer.operator(
        "RESHAPE", [product, writer.int32s(shape, "shape")], writer.float_tensor(shape, name), options
    )


def _dequantized(
    writer: Writer, stored: Stored, shape: tuple[int, ...], name: str, quantization: TensorQuantization | None
) -> int:
    codes = writer.packed(stored.packed(), shape, STORED_TYPES[stored.bits], f"{name}/stored", quantization)
    return writer.operator("DEQUANTIZE", [codes], writer.float_tensor(shape, name))


def _axis(view: tuple[int, int, int, int], shape: tuple[int, ...]) -> int | None:
    """The axis of the shape along which the steps differ; None where there is no such axis."""
    for axis, size in enumerate(shape):
        if view[0] == 1 and size == view[2] and math.prod(shape[:axis]) == view[1]:
            return axis
    return None
