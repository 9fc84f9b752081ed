"""Op cases as data: one op, its operands, and where a port refuses it. Every case runs on every runtime."""

from __future__ import annotations

from . import (
    activation,
    conv,
    elementwise,
    index,
    linear,
    logic,
    many_axes,
    norm,
    pool,
    quantized,
    recurrent,
    reduce,
    resize,
    shape,
    small_integers,
)
from .case import OpCase

CASES: list[OpCase] = [
    *activation.CASES,
    *conv.CASES,
    *elementwise.CASES,
    *index.CASES,
    *linear.CASES,
    *logic.CASES,
    *many_axes.CASES,
    *norm.CASES,
    *pool.CASES,
    *quantized.CASES,
    *recurrent.CASES,
    *reduce.CASES,
    *resize.CASES,
    *shape.CASES,
    *small_integers.CASES,
]
