"""The inverse of max pooling: every cell goes back to where the maximum stood, between zeros."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..graph import Dim, DType, Value
from ..graph.dims import product
from ..ops import Add, Expand, Mul, Reshape, Scatter
from .context import Context
from .index import counted
from .registry import captures


@captures("max_unpool2d", "max_unpool3d")
def max_unpool(context: Context, x: Value, indices: Value, size: Sequence[Dim], *_: object) -> Value:
    """x, indices [*P, *S]  →  [*P, *size], a plane for each P; indices count the cells of a plane row by row."""
    planes_shape = x.type.shape[: x.type.rank - len(size)]
    planes, cells, wanted = product(planes_shape), product(x.type.shape[-len(size) :]), product(size)
    first = context.add(Mul(), counted(context, planes), context.scalar(wanted, DType.INT64))
    at = context.add(Add(), context.add(Reshape((planes, cells)), indices), context.add(Reshape((planes, 1)), first))
    zeros = context.add(Expand((planes * wanted,)), context.constant(np.zeros((1,), x.type.dtype.numpy)))
    flat = [context.add(Reshape((planes * cells,)), value) for value in (at, x)]
    return context.add(Reshape((*planes_shape, *size)), context.add(Scatter(), zeros, *flat))
