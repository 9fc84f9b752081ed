"""Rewrites ops that a target does not spell into ops that it may.

before:  %1 = silu(%x)
after:   %2 = sigmoid(%x)    %1 = mul(%x, %2)

The last node keeps the name of the one it stands for. A decomposition may use ops that are decomposed in their turn.
Each is written for accuracy first: none may cost more than a few float32 roundings against the op's own formula.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..graph import Dim, Graph, Node, Value
from ..ops import (
    Abs,
    Activation,
    Add,
    BatchNorm,
    Clamp,
    Div,
    Elu,
    Exp,
    HardSigmoid,
    HardSwish,
    LayerNorm,
    Linear,
    Log,
    LogSoftmax,
    MatMul,
    Maximum,
    Minimum,
    Mul,
    OpAttrs,
    QuantizedMatMul,
    ReduceMax,
    ReduceMean,
    ReduceSum,
    Relu,
    Reshape,
    Rsqrt,
    Selu,
    Sigmoid,
    Silu,
    Softsign,
    Sqrt,
    Sub,
    Transpose,
)
from .base import Pass, Spells
from .merge_axes import merged
from .widen_integers import widened

Decomposition = Callable[["Rewriter", OpAttrs], Value | None]
Stems = dict[Node, frozenset[type[OpAttrs]]]
"""The ops that a node stands for a part of."""

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946

FAR_MEAN = 32.0
"""Deviations from 0 at which a mean is far: its product with the factor is rounded to 2e-6 deviations of the result."""

_DECOMPOSITIONS: dict[type[OpAttrs], Decomposition] = {}


class Rewriter:
    """Adds nodes in the place of one."""

    def __init__(self, graph: Graph, node: Node) -> None:
        self.graph = graph
        self.node = node
        self.made: list[Node] = []

    @property
    def x(self) -> Value:
        return self.node.inputs[0]

    def __call__(self, op: OpAttrs, *inputs: Value | float) -> Value:
        """A node; numbers become constants of x's dtype."""
        operands = [value if isinstance(value, Value) else self.number(value) for value in inputs]
        value = self.graph.add(op, *operands, name=f"{self.node.name}/{op.name}", source=self.node.source)
        assert value.producer is not None
        self.made.append(value.producer)
        return value

    def number(self, value: float) -> Value:
        return self.graph.add_constant(np.asarray(value, self.x.type.dtype.numpy))


def decomposes(*ops: type[OpAttrs]) -> Callable[[Decomposition], Decomposition]:
    """Decorator: ``function(rewriter, op)`` returns the value that replaces a node of these ops, or None: it cannot."""

    def register(function: Decomposition) -> Decomposition:
        for op in ops:
            _DECOMPOSITIONS[op] = function
        return function

    return register


def decompose(spells: Spells) -> Pass:
    """The pass for a target; ``spells`` says whether it can write a node as it is."""

    def run(graph: Graph) -> bool:
        changed = False
        stems: Stems = {}
        while sum(_rewrite(graph, node, spells, stems) for node in graph.nodes):
            changed = True
        return changed

    return run


def can_decompose(op: type[OpAttrs]) -> bool:
    return op in _DECOMPOSITIONS


def _rewrite(graph: Graph, node: Node, spells: Spells, stems: Stems) -> bool:
    """An op that comes back out of its own decomposition is left: two ops may each be written with the other."""
    if spells(node):
        return False
    if merged(graph, node, spells) or widened(graph, node, spells):
        return True
    stem = stems.get(node, frozenset())
    if type(node.op) not in _DECOMPOSITIONS or type(node.op) in stem:
        return False
    rewriter = Rewriter(graph, node)
    value = _DECOMPOSITIONS[type(node.op)](rewriter, node.op)
    if value is None:
        return False
    stems.update(dict.fromkeys(rewriter.made, stem | {type(node.op)}))
    if value is not rewriter.x:
        graph.hand_name_over(node, value)
    graph.replace(node.output, value)
    graph.remove(node)
    return True


@decomposes(Softsign)
def _softsign(r: Rewriter, op: OpAttrs) -> Value:
    return r(Div(), r.x, r(Add(), r(Abs(), r.x), 1.0))


@decomposes(Silu)
def _silu(r: Rewriter, op: OpAttrs) -> Value:
    return r(Mul(), r.x, r(Sigmoid(), r.x))


@decomposes(HardSigmoid)
def _hard_sigmoid(r: Rewriter, op: OpAttrs) -> Value:
    return r(Mul(), r(Clamp(0.0, 6.0), r(Add(), r.x, 3.0)), 1 / 6)


@decomposes(HardSwish)
def _hard_swish(r: Rewriter, op: OpAttrs) -> Value:
    return r(Mul(), r.x, r(HardSigmoid(), r.x))


@decomposes(Elu)
def _elu(r: Rewriter, op: OpAttrs) -> Value:
    """max(x, 0) + alpha * (exp(min(x, 0)) - 1)"""
    assert isinstance(op, Elu)
    below = r(Sub(), r(Exp(), r(Minimum(), r.x, 0.0)), 1.0)
    return r(Add(), r(Relu(), r.x), r(Mul(), below, op.alpha))


@decomposes(Selu)
def _selu(r: Rewriter, op: OpAttrs) -> Value:
    return r(Mul(), r(Elu(SELU_ALPHA), r.x), SELU_SCALE)


@decomposes(Clamp)
def _clamp(r: Rewriter, op: OpAttrs) -> Value:
    assert isinstance(op, Clamp)
    y = r.x if op.minimum == -math.inf else r(Maximum(), r.x, op.minimum)
    return y if op.maximum == math.inf else r(Minimum(), y, op.maximum)


@decomposes(LogSoftmax)
def _log_softmax(r: Rewriter, op: OpAttrs) -> Value:
    assert isinstance(op, LogSoftmax)
    shifted = r(Sub(), r.x, r(ReduceMax((op.axis,), True), r.x))
    return r(Sub(), shifted, r(Log(), r(ReduceSum((op.axis,), True), r(Exp(), shifted))))


@decomposes(Linear)
def _linear(r: Rewriter, op: OpAttrs) -> Value:
    """A product with the transposed weight: for weights that are computed while the model runs."""
    assert isinstance(op, Linear)
    x = r.x if r.x.type.rank > 1 else r(Reshape((1, *r.x.type.shape)), r.x)  # a vector is a matrix of one row
    y = r(MatMul(transpose_b=True), x, r.node.inputs[1])
    if r.x.type.rank == 1:
        y = r(Reshape(r.node.output.type.shape), y)
    if len(r.node.inputs) > 2:
        y = r(Add(), y, r.node.inputs[2])
    bounds = {Activation.RELU: Relu(), Activation.RELU6: Clamp(0.0, 6.0)}
    return r(bounds[op.activation], y) if op.activation in bounds else y


@decomposes(MatMul, QuantizedMatMul)
def _product_with_transposed(r: Rewriter, op: OpAttrs) -> Value:
    assert isinstance(op, MatMul)
    a, b = r.node.inputs
    if op.transpose_b:
        rank = b.type.rank
        b = r(Transpose((*range(rank - 2), rank - 1, rank - 2)), b)
    return r(replace(op, transpose_b=False), a, b)


@decomposes(Rsqrt)
def _rsqrt(r: Rewriter, op: OpAttrs) -> Value:
    return r(Div(), 1.0, r(Sqrt(), r.x))


@decomposes(LayerNorm)
def _layer_norm(r: Rewriter, op: OpAttrs) -> Value:
    assert isinstance(op, LayerNorm)
    axes = tuple(range(r.x.type.rank - op.axes, r.x.type.rank))
    centred = r(Sub(), r.x, r(ReduceMean(axes, True), r.x))
    variance = r(ReduceMean(axes, True), r(Mul(), centred, centred))
    y = r(Mul(), centred, r(Rsqrt(), r(Add(), variance, op.epsilon)))
    if len(r.node.inputs) > 1:
        y = r(Mul(), y, r.node.inputs[1])
    return r(Add(), y, r.node.inputs[2]) if len(r.node.inputs) > 2 else y


@decomposes(BatchNorm)
def _batch_norm(r: Rewriter, op: OpAttrs) -> Value:
    """x * factor + rest: factor = scale / sqrt(variance + epsilon), rest = offset - mean * factor, all in float64.

    That loses digits where the mean lies many deviations from 0, since x * factor and the rest then all but cancel;
    the mean is subtracted first there. It is torch's own formula otherwise (``batch_norm_cpu_kernel``).
    """
    assert isinstance(op, BatchNorm)
    shape = [1] * r.x.type.rank
    shape[op.axis] = -1
    if not all(value.is_constant for value in r.node.inputs[1:]):
        return _batch_norm_of_computed(r, op)
    scale, offset, mean, variance = (value.array().astype(np.float64) for value in r.node.inputs[1:])
    deviation = np.sqrt(variance + op.epsilon)
    factor = scale / deviation

    def along(array: npt.NDArray[np.float64]) -> Value:
        return r.graph.add_constant(array.reshape(shape).astype(r.x.type.dtype.numpy))

    if np.all(np.abs(mean) <= FAR_MEAN * deviation):
        return r(Add(), r(Mul(), r.x, along(factor)), along(offset - mean * factor))
    return r(Add(), r(Mul(), r(Sub(), r.x, along(mean)), along(factor)), along(offset))


def _batch_norm_of_computed(r: Rewriter, op: BatchNorm) -> Value:
    """The same with statistics that the model works out while it runs."""
    shape: list[Dim] = [1] * r.x.type.rank
    shape[op.axis] = r.x.type.shape[op.axis]
    scale, offset, mean, variance = (r(Reshape(tuple(shape)), value) for value in r.node.inputs[1:])
    factor = r(Mul(), scale, r(Rsqrt(), r(Add(), variance, op.epsilon)))
    return r(Add(), r(Mul(), r(Sub(), r.x, mean), factor), offset)
