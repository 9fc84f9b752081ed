"""Quantized layers: TensorFlow.js has no kernels on integers, and others would round in their own way."""

from __future__ import annotations

from ....exporter.ops import REGISTRY
from ..emitters import unsupported

for _name in ("dequantize", "lookup", "quantize", "quantized_add", "quantized_conv", "quantized_linear",
              "quantized_mat_mul", "quantized_mul", "quantized_softmax", "quantized_sub", "recode"):  # fmt: skip
    unsupported(
        REGISTRY[_name],
        because="TensorFlow.js has no kernels for quantized layers",
        help="export the float model that it was quantized from",
    )
