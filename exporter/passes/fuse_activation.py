"""Lets a kernel clamp its own result, where the target's kernel can.

before:  %1 = conv2d(%x, w, b)    %2 = relu(%1)
after:   %2 = conv2d(%x, w, b) {activation=relu}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from ..graph import Graph
from ..ops import Activation, Clamp, OpAttrs, Relu
from .base import Pass


def fuse_activation(fuses: Mapping[type[OpAttrs], frozenset[Activation]]) -> Pass:
    """The pass for a target whose kernels of these ops apply these activations."""

    def fuse(graph: Graph) -> bool:
        changed = False
        for node in graph.nodes:
            activation = as_activation(node.op)
            before = node.inputs[0].producer if node.inputs else None
            if activation is None or before is None or activation not in fuses.get(type(before.op), ()):
                continue
            x = node.inputs[0]
            if len(x.users) > 1 or graph.is_output(x) or getattr(before.op, "activation", None) is not Activation.NONE:
                continue
            fused = graph.rebuild(before, replace(before.op, activation=activation), before.inputs)  # type: ignore[call-arg]
            graph.replace(node.output, fused.output)
            graph.remove(node)
            graph.remove(before)
            changed = True
        return changed

    return fuse


def as_activation(op: OpAttrs) -> Activation | None:
    """The fused form of an activation op, if it has one."""
    if isinstance(op, Relu) or (isinstance(op, Clamp) and (op.minimum, op.maximum) == (0.0, math.inf)):
        return Activation.RELU
    if isinstance(op, Clamp) and (op.minimum, op.maximum) == (0.0, 6.0):
        return Activation.RELU6
    return None
