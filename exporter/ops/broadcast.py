"""Numpy's broadcasting rule, on types whose dims may be symbolic."""

from __future__ import annotations

from ..graph.dims import Dim
from ..graph.types import Shape, TensorType
from .base import OpAttrs


def broadcast_shapes(op: OpAttrs, *inputs: TensorType) -> Shape:
    """The common shape of the operands; ModelError when two sizes differ and neither is 1."""
    rank = max(t.rank for t in inputs)
    result: list[Dim] = []
    for axis in range(-rank, 0):
        sizes = [t.shape[axis] for t in inputs if t.rank >= -axis]
        distinct = {size for size in sizes if size != 1}
        if len(distinct) > 1:
            raise op.misfit(f"sizes {sorted(map(str, distinct))} do not broadcast", inputs)
        result.append(distinct.pop() if distinct else 1)
    return tuple(result)
