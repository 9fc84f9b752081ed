"""Weights that were rounded to codes with a step for each filter: the codes go into the file, a byte each.

A manifest knows one step for a whole array, so the steps are taken out of the product:

    x · (codes * step) + bias  =  (x · codes + bias / step) * step

The weight that a kernel sees is constant either way. A relu may come before the step, which is positive; a relu6 comes
behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
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


def filters_of(node: Node, writer: Writer) -> Filters:
    """The filters of a convolution or linear layer: codes where they have them."""
    op, weight = cast(Conv | ConvTranspose | Linear, node.op), node.inputs[1]
    activation, bias = op.activation, node.inputs[2].array() if len(node.inputs) > 2 else None
    # In groups, a filter of a transposed convolution is one of each group.
    found = None if isinstance(op, ConvTranspose) and op.groups > 1 else steps_of(weight, writer.forms)
    if found is None:
        return Filters(weight.array(), bias, activation)
    codes, steps = found
    if bias is not None:
        bias = bias.astype(np.float64) / steps
        if not (np.abs(bias) < MOST_OFFSET).all():
            return Filters(weight.array(), node.inputs[2].array(), activation)
        bias = bias.astype(np.float32)
    inside = Activation.NONE if activation is Activation.RELU6 else activation
    outside = activation if activation is Activation.RELU6 else Activation.NONE
    return Filters(codes, bias, inside, steps, outside)


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
