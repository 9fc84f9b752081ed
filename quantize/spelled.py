"""Functions that LiteRT's reference kernels lack (`WITHOUT_KERNEL`), in operations that they have.

For nodes that stay float under the scheme "int8-strict", whose files run in those kernels too.

    ceil(x)    -floor(-x)
    elu(x)     max(x, 0) + alpha * (exp(min(x, 0)) - 1)
    round(x)   floor(x), one more from a half on, and one less again at a half above an even number
"""

from __future__ import annotations

import numpy as np

from ..exporter.graph import Node, Value
from ..exporter.ops import Abs, Add, Ceil, Clamp, Elu, Exp, Floor, Minimum, Mul, Neg, OpAttrs, Relu, Sub
from .writer import Writer

WHOLE = 2.0**24
"""From here on every float32 is a whole number."""


def spelled(writer: Writer, node: Node, x: Value) -> Value:
    """What a Ceil, an Elu or a Round gives for float32 ``x``."""

    def step(op: OpAttrs, *operands: Value | float) -> Value:
        inputs = [v if isinstance(v, Value) else writer.constant(np.float32(v), f"{node.name}.by") for v in operands]
        return writer.node(node, op, *inputs, last=False)

    if isinstance(node.op, Ceil):
        return writer.node(node, Neg(), step(Floor(), step(Neg(), x)))
    if isinstance(node.op, Elu):
        below = step(Sub(), step(Exp(), step(Minimum(), x, 0.0)), 1.0)
        return writer.node(node, Add(), step(Relu(), x), step(Mul(), below, node.op.alpha))
    near = step(Clamp(-WHOLE, WHOLE), x)
    low = step(Floor(), near)
    twice = step(Mul(), step(Sub(), near, low), 2.0)
    is_half = step(Floor(), step(Sub(), 1.0, step(Abs(), step(Sub(), twice, 1.0))))
    is_odd = step(Sub(), low, step(Mul(), step(Floor(), step(Mul(), low, 0.5)), 2.0))
    less = step(Mul(), is_half, step(Sub(), 1.0, is_odd))
    up = step(Minimum(), step(Floor(), twice), 1.0)  # just below 0, x - floor(x) is rounded to 1
    whole = step(Sub(), step(Add(), low, up), less)
    return writer.node(node, Add(), whole, step(Sub(), x, near))
