"""Any torch module as a portable graph: `capture`."""

from __future__ import annotations

from . import (
    activation,
    conv,
    creation,
    einsum,
    elementwise,
    index,
    linear,
    norm,
    pool,
    recurrent,
    reduce,
    resize,
    scatter,
    shape,
)
from .capture import capture, capture_saved

__all__ = ["capture", "capture_saved"]

_FAMILIES = (
    activation,
    conv,
    creation,
    einsum,
    elementwise,
    index,
    linear,
    norm,
    pool,
    recurrent,
    reduce,
    resize,
    scatter,
    shape,
)
