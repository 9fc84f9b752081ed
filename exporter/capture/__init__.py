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
from .capture import capture

__all__ = ["capture"]

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
