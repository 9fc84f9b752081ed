"""One file per op family; importing this package fills the target's table of emitters."""

from __future__ import annotations

from . import (
    activation,
    conv,
    conv_transpose,
    elementwise,
    index,
    linear,
    logic,
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
    conv_transpose,
    elementwise,
    index,
    linear,
    logic,
    pool,
    quantized,
    recurrent,
    reduce,
    resize,
    shape,
)

__all__ = [
    "FAMILIES",
    "activation",
    "conv",
    "conv_transpose",
    "elementwise",
    "index",
    "linear",
    "logic",
    "pool",
    "quantized",
    "recurrent",
    "reduce",
    "resize",
    "shape",
]
