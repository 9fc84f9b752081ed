"""ONNX spellings, one file per op family."""

from __future__ import annotations

from . import (
    activation,
    conv,
    elementwise,
    index,
    linear,
    logic,
    norm,
    pool,
    quantized,
    recurrent,
    reduce,
    resize,
    shape,
)

FAMILIES = (
    activation,
    conv,
    elementwise,
    index,
    linear,
    logic,
    norm,
    pool,
    quantized,
    recurrent,
    reduce,
    resize,
    shape,
)

__all__ = ["FAMILIES"]
