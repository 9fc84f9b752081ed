"""How each op is spelled in kernel calls, one file per family. Importing this package fills the table."""

from __future__ import annotations

from . import activation, conv, elementwise, linear, norm, pool, reduce, resize, shape

__all__ = ["activation", "conv", "elementwise", "linear", "norm", "pool", "reduce", "resize", "shape"]
