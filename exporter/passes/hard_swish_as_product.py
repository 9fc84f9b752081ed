"""Writes hard-swish between codes as a product of codes, where the scale has a whole number of steps to 3.

before:  %1 = dequantize(%x)    %2 = hard_swish(%1)    %3 = quantize(%2)
after:   %1 = lookup(%x, the codes themselves, kept within those of -3 and 3)    %3 = quantized_mul(%x, %1)

x * clamp(x + 3, 0, 6) / 6: the code of -3 is the zero point of the second factor, and a sixth of the scale its scale.
For targets without tables that clamp and multiply codes fast. Each of the 256 results has to lie away from a tie, as a
plan sees to (quantize/solve.py), so that the product's codes are those of the function.
"""

from __future__ import annotations

import numpy as np

from ..graph import Graph, Node, Quantization
from ..ops import Dequantize, HardSwish, Lookup, Quantize, QuantizedMul
from ..ops.quantized import HIGHEST, LOWEST, nearest_tie
from .base import only_user_is

MARGIN = 2e-4
"""Steps. float32 products are off by 1e-4 at most (quantize/arithmetic.py)."""


def hard_swish_as_product(graph: Graph) -> bool:
    """True when one was written so."""
    changed = False
    for node in graph.nodes:
        swish = node.inputs[0].producer if isinstance(node.op, Quantize) else None
        if swish is None or not isinstance(swish.op, HardSwish) or not only_user_is(swish.output, graph, Quantize):
            continue
        before = swish.inputs[0].producer
        if before is not None and isinstance(before.op, Dequantize) and isinstance(node.op, Quantize):
            changed |= _written(graph, node, before, before.op.of, node.op.to)
    return changed


def _written(graph: Graph, node: Node, before: Node, of: Quantization, to: Quantization) -> bool:
    gate = gate_of(of)
    if gate is None:
        return False
    codes = np.arange(LOWEST, HIGHEST + 1)
    kept = np.clip(codes, gate.zero_point, 2 * of.zero_point - gate.zero_point)
    products = (codes - of.zero_point) * (kept - gate.zero_point)
    if nearest_tie(products * (of.scale * gate.scale / to.scale), to) < MARGIN:
        return False
    x = before.inputs[0]
    table = graph.add_constant(kept.astype(np.int8), f"{node.name}/table")
    factor = graph.add(Lookup(of, gate), x, table, name=f"{node.name}/gate", source=node.source)
    graph.replace(node.output, graph.rebuild(node, QuantizedMul(to, of=(of, gate)), [x, factor]).output)
    return True


def gate_of(of: Quantization) -> Quantization | None:
    """What the codes of x stand for as those of clamp(x + 3, 0, 6) / 6; None where -3 is no code."""
    steps = round(3 / of.scale)
    if steps < 1 or abs(steps * of.scale - 3) > 2.0**-21 or of.zero_point - steps < LOWEST:
        return None
    return Quantization(float(np.float32(of.scale / 6)), of.zero_point - steps)
