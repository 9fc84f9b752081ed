"""What an op is: frozen attributes, a shape rule, and what happens to it when its operands are transposed.

An op class is its own registration: subclassing `OpAttrs` makes it known to the file format under its snake_case
name. Emitters, references and capture register themselves against the class in their own folders.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from ..errors import ModelError, UsageError
from ..graph.types import TensorType

Perm = tuple[int, ...]

REGISTRY: dict[str, type[OpAttrs]] = {}
"""Every op class by its name in files."""


class Layout(Enum):
    """Where the channels of a spatial op stand: ``[N, C, *spatial]`` or ``[N, *spatial, C]``."""

    CHANNELS_FIRST = "channels_first"
    CHANNELS_LAST = "channels_last"

    def channel_axis(self, rank: int) -> int:
        return 1 if self is Layout.CHANNELS_FIRST else rank - 1

    def spatial_axes(self, rank: int) -> range:
        return range(2, rank) if self is Layout.CHANNELS_FIRST else range(1, rank - 1)


class Activation(Enum):
    """A clamp that a kernel can apply to its result before storing it."""

    NONE = "none"
    RELU = "relu"
    RELU6 = "relu6"


@dataclass(frozen=True)
class OpAttrs:
    """Base of all ops.

    operands     names of the inputs in order; a trailing ``?`` marks one that may be left out
    parameters   position of the first input that keeps its axes when the data is transposed (a weight); None: no such
    takes_codes  whether operands may be quantized: ops that compute with codes, and ops that only move cells
    """

    name: ClassVar[str] = ""
    operands: ClassVar[tuple[str, ...]] = ("x",)
    variadic: ClassVar[bool] = False
    parameters: ClassVar[int | None] = None
    takes_codes: ClassVar[bool] = False

    def __init_subclass__(cls, abstract: bool = False) -> None:
        super().__init_subclass__()
        if not abstract:
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
            REGISTRY[cls.name] = cls

    def label(self) -> str:
        """The op's name in messages."""
        return self.name

    def infer(self, *inputs: TensorType) -> TensorType:
        """The type of the only output; ModelError when the operands do not fit."""
        raise TypeError(f"{type(self).__name__} defines neither infer nor infer_outputs")

    def infer_outputs(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        """Types of all outputs, after the number of operands was checked."""
        self.check_codes(inputs)
        required = sum(not operand.endswith("?") for operand in self.operands)
        if not (required <= len(inputs) and (self.variadic or len(inputs) <= len(self.operands))):
            raise self.misfit(f"takes {', '.join(self.operands)}, got {len(inputs)} operands", inputs)
        return (self.infer(*inputs),)

    def check_codes(self, inputs: tuple[TensorType, ...]) -> None:
        """ModelError when an operand is quantized and the op knows nothing of codes."""
        if not self.takes_codes and any(x.quantization is not None for x in inputs):
            raise self.misfit("computes with real numbers, not with quantized codes", inputs)

    def permuted(self, perm: Perm) -> OpAttrs | None:
        """The op that gives ``transpose(y, perm)`` from ``transpose(x, perm)``; None when there is none.

        For ops whose data operands have the rank of the output, or broadcast to it. Elementwise ops return themselves.
        """
        return None

    def misfit(self, problem: str, inputs: tuple[TensorType, ...]) -> ModelError:
        """The error for operands that do not fit."""
        given = ", ".join(str(t) for t in inputs)
        return ModelError("TP201", f"{self.label()}: {problem} (operands: {given})")


def normalize_axis(axis: int, rank: int) -> int:
    """An axis counted from the front; UsageError when the tensor has no such axis."""
    if not -rank <= axis < rank:
        raise UsageError("TP001", f"axis {axis} does not exist in a tensor of rank {rank}")
    return axis % rank


def inverse_perm(perm: Perm) -> Perm:
    """The permutation that undoes ``perm``."""
    inverse = [0] * len(perm)
    for position, axis in enumerate(perm):
        inverse[axis] = position
    return tuple(inverse)


def to_channels_last(rank: int) -> Perm:
    """[N, C, *spatial] → [N, *spatial, C]"""
    return (0, *range(2, rank), 1)


def to_channels_first(rank: int) -> Perm:
    """[N, *spatial, C] → [N, C, *spatial]"""
    return (0, rank - 1, *range(1, rank - 1))
