"""Writes convolutions whose weights are computed while the model runs as matrix products. Channels last.

before:  %1 = conv2d(%x [N, *S, C], %w [O, *K, I])
after:   %2 = concat(for each tap of the kernel the cells of %x that it meets, along the channels)  [N, *S', K*I]
         %1 = matmul(%2 [N*S', K*I], %w turned to [K*I, O])

The targets' kernels want weights that are arranged when the file is written. Groups are products side by side. A
transposed convolution looks at its input, with zeros between the cells, through the kernel in reverse order.
"""

from __future__ import annotations

from itertools import product as combinations

from ..graph import Dim, Graph, Node, Value
from ..graph.dims import product
from ..ops import (
    Activation,
    Add,
    Clamp,
    Concat,
    Conv,
    ConvTranspose,
    Layout,
    MatMul,
    OpAttrs,
    Pad,
    Relu,
    Reshape,
    Slice,
    Transpose,
)
from .base import Pass, Spells

_ACTIVATIONS: dict[Activation, OpAttrs] = {Activation.RELU: Relu(), Activation.RELU6: Clamp(0.0, 6.0)}


def unfold_conv(spells: Spells) -> Pass:
    """The pass for a target; ``spells`` says whether it can write a node as it is."""

    def run(graph: Graph) -> bool:
        changed = False
        for node in graph.nodes:
            op = node.op
            if not isinstance(op, Conv | ConvTranspose) or op.layout is not Layout.CHANNELS_LAST:
                continue
            if all(value.is_constant for value in node.inputs[1:]) or spells(node):
                continue
            value = _Unfolding(graph, node, op).value()
            graph.hand_name_over(node, value)
            graph.replace(node.output, value)
            graph.remove(node)
            changed = True
        return changed

    return run


class _Unfolding:
    """Adds nodes in the place of one."""

    def __init__(self, graph: Graph, node: Node, op: Conv | ConvTranspose) -> None:
        self.graph = graph
        self.node = node
        self.op = op
        self.kernel = op.kernel(node.inputs[1].type)

    def __call__(self, op: OpAttrs, *inputs: Value) -> Value:
        return self.graph.add(op, *inputs, name=f"{self.node.name}/{op.name}", source=self.node.source)

    def value(self) -> Value:
        op, (x, weight, *bias) = self.op, self.node.inputs
        transposed = isinstance(op, ConvTranspose)
        for i, axis in enumerate(op.layout.spatial_axes(x.type.rank)):
            before, after = op.padding[i]
            if transposed:
                reach = op.dilation[i] * (self.kernel[i] - 1)
                x, before, after = self.spread(x, axis, op.stride[i]), reach - before, reach - after
            x = self.framed(x, axis, before, after)
        shape = self.node.output.type.shape
        products = []
        for group in range(op.groups):
            filters = self.part(weight, weight.type.rank - 1 if transposed else 0, group)
            outputs, *taps = filters.type.shape
            matrix = self(Transpose((1, 0)), self(Reshape((outputs, product(taps))), filters))
            met = self.met(self.part(x, x.type.rank - 1, group), shape[1:-1])
            products.append(self(MatMul(), self(Reshape((product(shape[:-1]), product(taps))), met), matrix))
        y = self(Concat(1), *products) if op.groups > 1 else products[0]
        if bias:
            y = self(Add(), y, *bias)
        if op.activation is not Activation.NONE:
            y = self(_ACTIVATIONS[op.activation], y)
        return self(Reshape(shape), y)

    def part(self, value: Value, axis: int, group: int) -> Value:
        """One of as many equal parts as there are groups."""
        if self.op.groups == 1:
            return value
        size = value.type.shape[axis] // self.op.groups
        return self(Slice((axis,), (group * size,), ((group + 1) * size,), (1,)), value)

    def met(self, x: Value, counts: tuple[Dim, ...]) -> Value:
        """x [N, *S, C]  →  [N, *counts, K*C]"""
        axes = tuple(range(1, x.type.rank - 1))
        transposed = isinstance(self.op, ConvTranspose)
        steps = (1,) * len(axes) if transposed else self.op.stride
        cells = []
        for tap in combinations(*map(range, self.kernel)):
            at = [size - 1 - t if transposed else t for t, size in zip(tap, self.kernel, strict=True)]
            starts = tuple(t * dilation for t, dilation in zip(at, self.op.dilation, strict=True))
            stops = tuple(s + (n - 1) * step + 1 for s, n, step in zip(starts, counts, steps, strict=True))
            cells.append(self(Slice(axes, starts, stops, steps), x))
        return self(Concat(x.type.rank - 1), *cells) if len(cells) > 1 else cells[0]

    def framed(self, x: Value, axis: int, before: int, after: int) -> Value:
        """Zeros before and after along an axis; less than none crops."""
        if before > 0 or after > 0:
            rank = x.type.rank
            first = tuple(max(before, 0) if a == axis else 0 for a in range(rank))
            last = tuple(max(after, 0) if a == axis else 0 for a in range(rank))
            x = self(Pad(first, last), x)
        if before < 0 or after < 0:
            x = self(Slice((axis,), (max(-before, 0),), (x.type.shape[axis] + min(after, 0),), (1,)), x)
        return x

    def spread(self, x: Value, axis: int, stride: int) -> Value:
        """``stride`` - 1 zeros between the cells of an axis."""
        if stride == 1:
            return x
        shape = x.type.shape
        apart = self(Reshape((product(shape[: axis + 1]), 1, product(shape[axis + 1 :]))), x)
        wide = self(Pad((0, 0, 0), (0, stride - 1, 0)), apart)
        y = self(Reshape((*shape[:axis], shape[axis] * stride, *shape[axis + 1 :])), wide)
        return self(Slice((axis,), (0,), ((shape[axis] - 1) * stride + 1,), (1,)), y)
