"""What each op computes, in torch: the judge of every port."""

from __future__ import annotations

from . import (  # noqa: F401 - each fills the table of what ops compute when it is imported
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
from .run import run_graph, run_tensors, run_values

__all__ = ["run_graph", "run_tensors", "run_values"]
