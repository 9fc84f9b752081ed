"""ONNX spellings, one file per op family."""

from __future__ import annotations

from . import (  # noqa: F401 - each fills the target's table of emitters when it is imported
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
