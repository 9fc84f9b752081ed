"""How two operands of different shapes run through one kernel: the table its header describes (kernels/binary.c)."""

from __future__ import annotations

from dataclasses import dataclass

from ....exporter.graph import Dim, Shape
from ..plan import Argument


@dataclass(frozen=True)
class Run:
    """Neighbouring output axes that both operands walk alike: a step of 1 where an operand has the axis, else 0."""

    size: Dim
    a_step: int
    b_step: int


def runs(a: Shape, b: Shape, y: Shape) -> list[Run]:
    """The output's axes with those merged that broadcast alike, outermost first; axes of size 1 are left out."""
    merged: list[Run] = []
    for axis in range(-len(y), 0):
        size = y[axis]
        if size == 1:
            continue
        run = Run(size, _step(a, axis), _step(b, axis))
        if merged and (merged[-1].a_step, merged[-1].b_step) == (run.a_step, run.b_step):
            run = Run(merged.pop().size * size, run.a_step, run.b_step)
        merged.append(run)
    return merged


def strides(found: list[Run]) -> list[Dim]:
    """(size, a's stride, b's stride) of each run, one after the other; strides in elements."""
    entries: list[Dim] = []
    a_stride: Dim = 1
    b_stride: Dim = 1
    for run in reversed(found):
        entries[:0] = [run.size, a_stride * run.a_step, b_stride * run.b_step]
        a_stride = a_stride * run.size if run.a_step else a_stride
        b_stride = b_stride * run.size if run.b_step else b_stride
    return entries


def broadcast_table(a: Shape, b: Shape, y: Shape) -> list[Argument]:
    """[outer axes, length of the innermost run, a's step, b's step, outer axes …]"""
    found = runs(a, b, y)
    inner = found[-1] if found else Run(1, 1, 1)
    outer = strides(found)[:-3] if found else []
    return [max(0, len(found) - 1), inner.size, inner.a_step, inner.b_step, *outer]


def _step(shape: Shape, axis: int) -> int:
    return 1 if len(shape) >= -axis and shape[axis] != 1 else 0
