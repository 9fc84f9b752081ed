"""Any torch module as a portable graph: `capture`."""

from __future__ import annotations

from . import (  # noqa: F401 - each fills the table of converters when it is imported
    activation,
    arrange,
    attention,
    bags,
    complex_numbers,
    conv,
    creation,
    distances,
    einsum,
    elementwise,
    fourier,
    index,
    linear,
    logic,
    norm,
    order,
    piecewise,
    pool,
    recurrent,
    reduce,
    resize,
    scans,
    scatter,
    shape,
    unpool,
    windows,
)
from .capture import capture, capture_saved

__all__ = ["capture", "capture_saved"]
