"""How operands of different shapes run through one kernel: the table its header describes (kernels/binary.c)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ....exporter.graph import Dim, Shape
from ..plan import Argument


@dataclass(frozen=True)
class Run:
    """Neighbouring output axes that each operand walks alike: a step of 1 where an operand has the axis, else 0."""

    size: Dim
    steps: tuple[int, ...]


def runs(operands: Sequence[Shape], y: Shape) -> list[Run]:
    """The output's axes with those merged that broadcast alike, outermost first; axes of size 1 are left out."""
    merged: list[Run] = []
    for axis in range(-len(y), 0):
        size = y[axis]
        if size == 1:
            continue
        run = Run(size, tuple(_step(shape, axis) for shape in operands))
        if merged and merged[-1].steps == run.steps:
            run = Run(merged.pop().size * size, run.steps)
        merged.append(run)
    return merged


def strides(found: list[Run]) -> list[Dim]:
    """(size, each operand's stride) of each run, one after the other; strides in elements."""
    entries: list[Dim] = []
    walked: list[Dim] = [1] * (len(found[0].steps) if found else 0)
    for run in reversed(found):
        entries[:0] = [run.size, *(stride * step for stride, step in zip(walked, run.steps, strict=True))]
        walked = [stride * run.size if step else stride for stride, step in zip(walked, run.steps, strict=True)]
    return entries


def operand_table(operands: Sequence[Shape], y: Shape) -> list[Argument]:
    """[outer axes, length of the innermost run, each operand's step, outer axes …]"""
    found = runs(operands, y)
    inner = found[-1] if found else Run(1, (1,) * len(operands))
    outer = strides(found)[: -1 - len(operands)] if found else []
    return [max(0, len(found) - 1), inner.size, *inner.steps, *outer]


def broadcast_table(a: Shape, b: Shape, y: Shape) -> list[Argument]:
    """`operand_table` of two operands."""
    return operand_table((a, b), y)


def _step(shape: Shape, axis: int) -> int:
    return 1 if len(shape) >= -axis and shape[axis] != 1 else 0
