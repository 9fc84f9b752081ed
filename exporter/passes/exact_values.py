"""Which values of a quantized graph are the same bits in every runtime, float32 ones among them.

Codes are whole numbers, and ops on them are exact by their definition. A float32 value is exact where it comes from
exact ones by single operations that IEEE 754 rounds in one way (add, subtract, multiply, divide, comparing and moving),
or by a sum of so few whole steps of a power of two that no partial sum is rounded. Square roots are not: XNNPACK's are
off by a unit in the last place; a step of Heron's behind one makes it exact (quantize/apply.py). A function of one code
that is quantized again is exact because the plan keeps its 256 results from ties (quantize/solve.py).

A graph without codes promises no bits: none of its values is listed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..graph import DType, Graph, Node, Value
from ..ops import (
    Abs,
    Add,
    BorderPad,
    Clamp,
    Concat,
    Dequantize,
    Div,
    Expand,
    Floor,
    Gather,
    Identity,
    Maximum,
    MaxPool,
    Minimum,
    Mul,
    Neg,
    OpAttrs,
    Pad,
    Quantize,
    ReduceMax,
    ReduceMin,
    ReduceSum,
    Relu,
    Reshape,
    Reverse,
    Slice,
    Sqrt,
    Sub,
    TakeAlong,
    Transpose,
    UnaryOp,
)
from ..ops.quantized import HIGHEST, LOWEST

_MOVES = (BorderPad, Concat, Expand, Gather, Identity, MaxPool, Pad, Reshape, Reverse, Slice, TakeAlong, Transpose)
_ROUNDS_ONCE = (Abs, Add, Clamp, Div, Floor, Maximum, Minimum, Mul, Neg, ReduceMax, ReduceMin, Relu, Sub)
_ONE_CODE = (Add, Div, Maximum, Minimum, Mul, Sub)
_MOST = 2**24


@dataclass(frozen=True)
class _Steps:
    """Whole multiples of ``step``, a power of two, at most ``most`` of them."""

    step: float
    most: int


def exact_values(graph: Graph) -> frozenset[Value]:
    """The values that every port computes to the same bits; none in a graph without codes."""
    return _found(graph)[0]


def float32_values(graph: Graph) -> frozenset[Value]:
    """What a reference computes in float32 to find the `exact_values`: those, and the inside of Heron's steps."""
    exact, inner = _found(graph)
    return exact | inner


def _found(graph: Graph) -> tuple[frozenset[Value], frozenset[Value]]:
    """Exact values, and those inside of steps of Heron's."""
    if not any(value.quantization for node in graph.nodes for value in node.outputs):
        return frozenset(), frozenset()
    exact: set[Value] = set(graph.inputs)
    inner: set[Value] = set()
    functions: set[Value] = set()
    steps: dict[Value, _Steps] = {}
    for node in graph.nodes:
        known = all(value.is_constant or value in exact for value in node.inputs)
        if known and _is_exact(node, steps):
            exact.update(node.outputs)
            if (made := _steps_of(node, steps)) is not None:
                steps[node.output] = made
        elif within := _herons_step(node, exact):
            exact.update(node.outputs)
            inner.update(within)
        elif _is_function_of_one_code(node, exact, functions):
            functions.update(node.outputs)
        elif isinstance(node.op, Quantize) and node.inputs[0] in functions:
            exact.update(node.outputs)
    return frozenset(exact), frozenset(inner)


def _is_exact(node: Node, steps: dict[Value, _Steps]) -> bool:
    if isinstance(node.op, ReduceSum):
        return _steps_of(node, steps) is not None
    if isinstance(node.op, (*_MOVES, *_ROUNDS_ONCE)):
        return True
    coded = any(value.quantization for value in (*node.inputs, *node.outputs))
    return coded or all(not value.type.dtype.is_float for value in (*node.inputs, *node.outputs))


def _herons_step(node: Node, exact: set[Value]) -> tuple[Value, ...]:
    """The values inside of (root + x / root) / 2 of an exact x; none where a node is not its last operation."""
    total, half = _operands(node, Mul)
    root, quotient = _operands(total.producer, Add) if total else (None, None)
    x, by = _operands(quotient.producer, Div) if quotient else (None, None)
    if not (total and half and root and quotient and x in exact and by is root and root.producer):
        return ()
    halves = half.is_constant and bool((half.array() == 0.5).all())
    is_root = isinstance(root.producer.op, Sqrt) and root.producer.inputs[0] is x
    return (root, quotient, total) if halves and is_root else ()


def _operands(node: Node | None, op: type[OpAttrs]) -> tuple[Value, Value] | tuple[None, None]:
    """Both inputs of a node with that op."""
    if node is None or not isinstance(node.op, op):
        return None, None
    first, second = node.inputs
    return first, second


def _steps_of(node: Node, steps: dict[Value, _Steps]) -> _Steps | None:
    """What is known of the only output's cells as whole steps."""
    if isinstance(node.op, Dequantize):
        of = node.op.of
        mantissa, _ = math.frexp(of.scale)
        return _Steps(of.scale, max(HIGHEST - of.zero_point, of.zero_point - LOWEST)) if mantissa == 0.5 else None
    given = [steps.get(value) for value in node.inputs]
    if any(known is None for known in given) or not given:
        return None
    first = given[0]
    assert first is not None
    if isinstance(node.op, Mul):
        second = given[1]
        assert second is not None
        return _small(_Steps(first.step * second.step, first.most * second.most))
    if isinstance(node.op, ReduceSum):
        sizes = [node.inputs[0].type.shape[axis] for axis in node.op.axes]
        known = [size for size in sizes if isinstance(size, int)]
        return _small(_Steps(first.step, first.most * math.prod(known))) if len(known) == len(sizes) else None
    return first if isinstance(node.op, (Reshape, Transpose, Slice, Expand)) else None


def _small(steps: _Steps) -> _Steps | None:
    return steps if steps.most < _MOST else None


def _is_function_of_one_code(node: Node, exact: set[Value], functions: set[Value]) -> bool:
    """A unary op, or arithmetic with a number, on what is dequantized or already such a function."""
    activations = [value for value in node.inputs if not value.is_constant]
    numbers = [value for value in node.inputs if value.is_constant]
    if len(activations) != 1 or not isinstance(node.op, (UnaryOp, *_ONE_CODE)):
        return False
    x = activations[0]
    dequantized = x in exact and x.producer is not None and isinstance(x.producer.op, Dequantize)
    single = all(value.array().size == 1 for value in numbers)
    return (dequantized or x in functions) and single and node.output.type.dtype is DType.FLOAT32
