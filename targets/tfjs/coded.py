"""Weights that were rounded to codes with a step for each filter: the codes go into the file, a byte each.

A manifest knows one step for a whole array, so the steps are taken out of the product:

    x · (codes * step) + bias  =  (x · codes + bias / step) * step

The weight that a kernel sees is constant either way. A relu may come before the step, which is positive; a relu6 comes
behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from ...exporter.graph import Array, Node, Value
from ...exporter.graph.stored import Floats, StoredForm, stored_form_of
from ...exporter.ops import Activation, Conv, ConvTranspose, Linear
from .emitters import FUSED
from .writer import Writer

MOST_OFFSET = 1e30
"""A bias of more steps than this might leave float32 in the sum."""


@dataclass(frozen=True)
class Filters:
    """What a kernel multiplies with, and what is left to do with its result.

    weight    of the node's shape
    bias      [O]
    inside    the activation that the kernel applies
    steps     [O], by which the result is multiplied; None: by nothing
    outside   the activation behind that
    """

    weight: Array
    bias: Array | None
    inside: Activation
    steps: Floats | None = None
    outside: Activation = Activation.NONE

    def rows(self, order: Array) -> Filters:
        """The filters in another order."""
        bias, steps = (None if array is None else array[order] for array in (self.bias, self.steps))
        return replace(self, weight=self.weight[order], bias=bias, steps=steps)


def filters_of(node: Node, writer: Writer) -> Filters:
    """The filters of a convolution or linear layer."""
    op, weight = cast(Conv | ConvTranspose | Linear, node.op), node.inputs[1]
    bias = node.inputs[2].array() if len(node.inputs) > 2 else None
    if isinstance(op, ConvTranspose) and op.groups > 1:  # a filter is one of each group
        return Filters(weight.array(), bias, op.activation)
    return filters(weight, bias, op.activation, writer.forms)


def filters(weight: Value, bias: Array | None, activation: Activation, forms: tuple[StoredForm, ...]) -> Filters:
    """Filters as codes where the weight has them, else as they are."""
    found = steps_of(weight, forms)
    if found is None:
        return Filters(weight.array(), bias, activation)
    codes, steps = found
    scaled = None if bias is None else bias.astype(np.float64) / steps
    if scaled is not None and not (np.abs(scaled) < MOST_OFFSET).all():
        return Filters(weight.array(), bias, activation)
    inside = Activation.NONE if activation is Activation.RELU6 else activation
    outside = activation if activation is Activation.RELU6 else Activation.NONE
    return Filters(codes, None if scaled is None else scaled.astype(np.float32), inside, steps, outside)


def finished(writer: Writer, y: str, of: Filters) -> str:
    """The kernel's result [..., O] times the steps, and what comes behind."""
    if of.steps is not None:
        y = writer.node("Mul", [y, writer.constant(of.steps, f"{writer.at}/steps")], "scaled")
    return y if of.outside is Activation.NONE else writer.node(FUSED[of.outside], [y], "activation")


def steps_of(weight: Value, forms: tuple[StoredForm, ...]) -> tuple[Floats, Floats] | None:
    """Codes [O, ...], as float32, and steps [O]; None where the first axis has no steps, or all cells have one."""
    stored = stored_form_of(weight.array(), [form for form in forms if form.bits < 16 and not form.block])
    if stored is None or stored.steps is None or stored.steps.size == 1:
        return None
    if stored.view[:2] != (1, 1) or stored.view[2] != weight.array().shape[0]:
        return None
    return stored.codes.astype(np.float32), stored.steps.reshape(-1)
