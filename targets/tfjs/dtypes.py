"""Which dtypes TensorFlow.js has, and what it carries the others as."""

from __future__ import annotations

import numpy as np

from ...exporter.graph import Array, DType, Node, Value
from ..emit import Refusal

CARRIERS: dict[DType, DType] = {
    DType.FLOAT32: DType.FLOAT32,
    DType.INT64: DType.INT32,
    DType.INT32: DType.INT32,
    DType.UINT8: DType.INT32,
    DType.INT8: DType.INT32,
    DType.BOOL: DType.BOOL,
}
"""dtype in the graph → dtype of the tensor. What is missing here cannot be written."""

DT_NAMES = {DType.FLOAT32: "DT_FLOAT", DType.INT32: "DT_INT32", DType.BOOL: "DT_BOOL"}
"""A carrier → its name in a graph model."""

_INT32 = np.iinfo(np.int32)


def carried(array: Array) -> Array:
    """The array in the dtype that carries it."""
    return array.astype(CARRIERS[DType.of(array)].numpy, copy=False)


def dtype_refusal(node: Node) -> Refusal | None:
    """Why TensorFlow.js cannot hold a value that the node touches."""
    return next((found for value in (*node.inputs, *node.outputs) if (found := value_refusal(value))), None)


def value_refusal(value: Value) -> Refusal | None:
    """Why TensorFlow.js cannot hold the value."""
    dtype = value.type.dtype
    if value.quantization is not None:
        return Refusal(
            f"{value.name} holds quantized codes, and TensorFlow.js computes in float32 and int32 alone",
            "export the float model that it was quantized from",
            "TP105",
        )
    if dtype not in CARRIERS:
        return Refusal(
            f"{value.name} is {dtype.value}, which TensorFlow.js does not have",
            "cast it to float32 in the model" if dtype.is_float else "cast it to int32 in the model",
            "TP105",
        )
    if dtype is DType.INT64 and value.is_constant:
        array = value.array()
        if array.size and not (_INT32.min <= int(array.min()) and int(array.max()) <= _INT32.max):
            return Refusal(
                f"{value.name} is int64, which becomes int32 in TensorFlow.js, and holds numbers beyond that",
                "use smaller indices or constants",
                "TP105",
            )
    return None
