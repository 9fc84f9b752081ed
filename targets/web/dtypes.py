"""Which dtypes the browser's kernels know, and what they store the others as."""

from __future__ import annotations

import numpy as np

from ...exporter.errors import ModelError
from ...exporter.graph import Array, DType

DEVICE_DTYPES: dict[DType, DType] = {
    DType.FLOAT32: DType.FLOAT32,
    DType.INT64: DType.INT32,  # indices and sizes: WebAssembly addresses 32 bits
    DType.INT32: DType.INT32,
    DType.UINT8: DType.UINT8,
    DType.INT8: DType.INT8,
    DType.BOOL: DType.BOOL,
}
"""dtype in the graph → dtype in the browser. What is missing here cannot be written."""


def device_dtype(dtype: DType) -> DType:
    """The dtype a value has in the browser; KeyError for one that it cannot have."""
    return DEVICE_DTYPES[dtype]


def device_array(array: Array, name: str) -> Array:
    """The array in its browser dtype, contiguous; ModelError when an integer does not fit into 32 bits."""
    dtype = device_dtype(DType.of(array)).numpy
    if array.dtype == np.int64 and array.size:
        limits = np.iinfo(np.int32)
        if array.min() < limits.min or array.max() > limits.max:
            raise ModelError(
                "TP105",
                f'constant "{name}" holds integers beyond 32 bits',
                because="the browser computes integers in int32",
                help="keep them below 2**31 in the model, or export to onnx alone: --to onnx",
            )
    return np.ascontiguousarray(array, dtype)
