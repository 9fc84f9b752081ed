"""How each op is spelled in kernel calls, one file per family."""

from __future__ import annotations

from . import (
    activation,
    attention,
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
    attention,
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
