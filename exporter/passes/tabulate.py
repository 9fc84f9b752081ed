"""Writes what is computed of one quantized tensor, cell by cell, as a table of its 256 codes.

before:  %1 = dequantize(%x)    %2 = sigmoid(%1)    %3 = mul(%1, %2)    %4 = quantize(%3)
after:   %4 = lookup(%x, table)

Whatever lies between counts, as long as it starts from the codes of one tensor, and everything else it reads is single
numbers; nothing at all between is a change of scale. Each result is computed in float64 and rounded to float32 before
it becomes a code. A plan keeps results away from ties (quantize/arithmetic.py), so that a port that computes the ops
themselves gives the same codes.
"""

from __future__ import annotations

import numpy as np

from ..graph import Array, Graph, Node, Value
from ..ops import Dequantize, Lookup, Quantize
from ..ops.quantized import HIGHEST, LOWEST
from .cellwise import FUNCTIONS, Reals


def tabulate(graph: Graph) -> bool:
    """True when a table was made."""
    changed = False
    for node in graph.nodes:
        if isinstance(node.op, Quantize) and _tabulated(graph, node, node.op):
            changed = True
    return changed


def _tabulated(graph: Graph, node: Node, op: Quantize) -> bool:
    chain = Chain(node.inputs[0])
    if chain.start is None:
        return False
    x = chain.start.inputs[0]
    table = graph.add_constant(_codes(chain.results(), op), f"{node.name}/table")
    assert x.quantization is not None
    graph.replace(node.output, graph.rebuild(node, Lookup(x.quantization, op.to), [x, table]).output)
    graph.remove(node)
    return True


def _codes(results: Reals, op: Quantize) -> Array:
    """What `Quantize` makes of them."""
    inverse = np.float32(1) / np.float32(op.to.scale)
    with np.errstate(all="ignore"):
        steps = np.rint(results.astype(np.float32) * inverse) + np.float32(op.to.zero_point)
    return np.asarray(np.nan_to_num(np.clip(steps, LOWEST, HIGHEST), nan=LOWEST), np.int8)


class Chain:
    """The nodes between a value and the codes that it is computed of.

    start   one of the nodes that dequantize them; None when there is more behind the value than one tensor
    """

    def __init__(self, end: Value) -> None:
        self.end = end
        self.start: Node | None = None
        self._followed: set[Value] = set()
        if not self._follow(end):
            self.start = None

    def _follow(self, value: Value) -> bool:
        """Whether the value is a single number, or computed of the one tensor's cells at the same places."""
        if value.is_constant:
            return value.array().size == 1
        if value in self._followed:
            return True
        node = value.producer
        if node is None:
            return False
        if isinstance(node.op, Dequantize):
            begun = self.start is None or self.start.inputs[0] is node.inputs[0]
            self.start = self.start or node
        else:
            begun = type(node.op) in FUNCTIONS and all(self._follow(operand) for operand in node.inputs)
        self._followed.add(value)
        # A number of more axes than the tensor gives its result as many.
        return begun and self.start is not None and value.type.shape == self.start.output.type.shape

    def results(self) -> Reals:
        """The value for each code from the least on."""
        assert self.start is not None and isinstance(self.start.op, Dequantize)
        of = self.start.op.of
        codes = np.arange(LOWEST, HIGHEST + 1, dtype=np.float32)
        real = ((codes - np.float32(of.zero_point)) * np.float32(of.scale)).astype(np.float64)
        with np.errstate(all="ignore"):
            return self._computed(self.end, {}, real)

    def _computed(self, value: Value, done: dict[Value, Reals], real: Reals) -> Reals:
        if value not in done:
            node = value.producer
            if node is None:
                done[value] = value.array().reshape(()).astype(np.float64)
            elif isinstance(node.op, Dequantize):
                done[value] = real
            else:
                operands = [self._computed(operand, done, real) for operand in node.inputs]
                done[value] = FUNCTIONS[type(node.op)](node.op, *operands)
        return done[value]
