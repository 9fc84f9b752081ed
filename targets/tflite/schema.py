"""The TFLite schema bindings of the LiteRT wheel: only data classes and a FlatBuffer builder, none of its runtime."""

from __future__ import annotations

from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated

from ...exporter.graph import DType
from ...exporter.ops import Activation

schema: Any = schema_py_generated
"""The generated bindings; untyped, so every value taken from them is narrowed where it is used."""

Builder: Any = flatbuffers.Builder

FILE_IDENTIFIER = b"TFL3"

TENSOR_TYPES: dict[DType, int] = {
    DType.FLOAT32: schema.TensorType.FLOAT32,
    DType.INT8: schema.TensorType.INT8,
    DType.UINT8: schema.TensorType.UINT8,
    DType.INT16: schema.TensorType.INT16,
    DType.INT32: schema.TensorType.INT32,
    DType.BOOL: schema.TensorType.BOOL,
}
"""Dtypes that a tensor on the device may have; `device_dtype` leads there."""

STORED_TYPES: dict[int, int] = {
    4: schema.TensorType.INT4,
    8: schema.TensorType.INT8,
    16: schema.TensorType.FLOAT16,
}
"""Types of weights by their bits; no kernel computes with them, DEQUANTIZE reads them."""

FUSED_ACTIVATIONS: dict[Activation, int] = {
    Activation.NONE: schema.ActivationFunctionType.NONE,
    Activation.RELU: schema.ActivationFunctionType.RELU,
    Activation.RELU6: schema.ActivationFunctionType.RELU6,
}


def device_dtype(dtype: DType) -> DType:
    """The dtype a value has on the device: int64 becomes int32 (indices and sizes never need more there)."""
    return DType.INT32 if dtype is DType.INT64 else dtype


def _names(enumeration: Any) -> dict[int, str]:
    return {number: name for name, number in vars(enumeration).items() if isinstance(number, int)}


def operator_names() -> dict[int, str]:
    """Number → name of every built-in operator the schema knows."""
    return _names(schema.BuiltinOperator)


def tensor_type_names() -> dict[int, str]:
    """Number → name of every tensor type the schema knows, in lower case as numpy spells them."""
    return {number: name.lower() for number, name in _names(schema.TensorType).items()}
