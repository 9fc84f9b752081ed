"""TensorFlow.js's table of emitters, and the conditions that several of them share."""

from __future__ import annotations

from ...exporter.graph import DType, Node
from ...exporter.ops import Activation
from ..emit import Condition, Emitters, Refusal
from .writer import Writer

EMITTERS: Emitters[Writer] = Emitters("tfjs")

emits = EMITTERS.emits
unsupported = EMITTERS.unsupported

FUSED = {Activation.RELU: "Relu", Activation.RELU6: "Relu6"}
"""What an activation is called, in a fused kernel and alone."""

NUMBERS = (DType.FLOAT32, DType.INT32, DType.INT64)
MOVABLE = (*NUMBERS, DType.INT8, DType.UINT8, DType.BOOL)
"""Dtypes of what moves cells without computing."""


def of_dtype(*accepted: DType, operand: int = 0) -> Condition:
    """Condition: the operand has one of these dtypes."""

    def condition(node: Node) -> Refusal | None:
        value = node.inputs[operand]
        if value.type.dtype in accepted:
            return None
        names = ", ".join(dtype.value for dtype in accepted)
        return Refusal(
            f"the kernel takes {names}; {value.name} is {value.type.dtype.value}",
            "cast the operand in the model",
            "TP105",
        )

    return condition


def at_most_rank(limit: int) -> Condition:
    """Condition: neither an operand nor the result has more axes than the kernel walks."""

    def condition(node: Node) -> Refusal | None:
        rank = max(value.type.rank for value in (*node.inputs, *node.outputs))
        if rank <= limit:
            return None
        return Refusal(
            f"the kernel takes at most {limit} axes, here are {rank}",
            "merge axes with a reshape before this layer",
            "TP102",
        )

    return condition


def broadcasts_up_to(limit: int) -> Condition:
    """Condition: the operands have one shape, or no more axes than the kernel broadcasts over."""
    few = at_most_rank(limit)

    def condition(node: Node) -> Refusal | None:
        alike = all(value.type.shape == node.inputs[0].type.shape for value in node.inputs)
        return None if alike else few(node)

    return condition


def all_of(*conditions: Condition) -> Condition:
    """The first refusal among several conditions."""

    def condition(node: Node) -> Refusal | None:
        return next((refusal for check in conditions if (refusal := check(node)) is not None), None)

    return condition


FLOAT = of_dtype(DType.FLOAT32)
