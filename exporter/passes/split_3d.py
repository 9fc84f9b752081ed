"""Writes window ops over three spatial axes with ops over two, for targets that only know images. Channels last.

before:  %1 = max_pool3d(%x [N, D, H, W, C])
after:   %2 = reshape(%x, [N*D, H, W, C])        %3 = max_pool2d(%2)  over height and width
         %4 = reshape(%3, [N, D, H'*W', C])      %5 = max_pool2d(%4)  over the depth, windows of width 1
         %1 = reshape(%5, [N, D', H', W', C])

before:  %1 = conv3d(%x, w [O, K, kh, kw, I])
after:   %1 = the sum over the K slices of the kernel of conv2d(slices of %x that this one meets, w[:, k])

Pools and resizing treat the depth like the other axes, so they may take it after them; a mean of means is the mean,
since the windows of all rows have the same cells of the depth. In a transposed convolution slice k of the kernel adds
to the slices d * stride + k * dilation of the result.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..graph import Dim, Graph, Node, Value
from ..graph.dims import product
from ..ops import (
    Activation,
    Add,
    AveragePool,
    Clamp,
    Conv,
    ConvTranspose,
    Layout,
    MaxPool,
    OpAttrs,
    Pad,
    QuantizedConv,
    Relu,
    Reshape,
    Resize,
    Slice,
)
from ..ops.conv import Padding

_ACTIVATIONS: dict[Activation, OpAttrs] = {Activation.RELU: Relu(), Activation.RELU6: Clamp(0.0, 6.0)}


def split_3d(graph: Graph) -> bool:
    """True when an op was split. Convolutions of codes, and with weights that are computed, are left."""
    changed = False
    for node in graph.nodes:
        value = _split(_Splitter(graph, node))
        if value is not None:
            graph.hand_name_over(node, value)
            graph.replace(node.output, value)
            graph.remove(node)
            changed = True
    return changed


class _Splitter:
    """Adds nodes in the place of one over [N, D, H, W, C]."""

    def __init__(self, graph: Graph, node: Node) -> None:
        self.graph = graph
        self.node = node

    def __call__(self, op: OpAttrs, *inputs: Value) -> Value:
        return self.graph.add(op, *inputs, name=f"{self.node.name}/{op.name}", source=self.node.source)

    def shaped(self, x: Value, *shape: Dim) -> Value:
        return x if x.type.shape == shape else self(Reshape(shape), x)

    def images(self, op: OpAttrs, x: Value, *parameters: Value) -> Value:
        """``op`` over height and width of every slice."""
        batch, depth, *image = x.type.shape
        y = self(op, self.shaped(x, batch * depth, *image), *parameters)
        return self.shaped(y, batch, depth, *y.type.shape[1:])

    def depth(self, op: OpAttrs, x: Value) -> Value:
        """``op`` over the depth and an axis that holds height and width."""
        batch, depth, height, width, channels = x.type.shape
        y = self(op, self.shaped(x, batch, depth, height * width, channels))
        return self.shaped(y, batch, y.type.shape[1], height, width, channels)

    def flat(self, op: OpAttrs, x: Value) -> Value:
        """``op`` over [N, D, the rest]."""
        batch, depth, *image = x.type.shape
        y = self(op, self.shaped(x, batch, depth, product(image)))
        return self.shaped(y, batch, y.type.shape[1], *image)


def _split(add: _Splitter) -> Value | None:
    """What stands for the node; None when it is no op over three axes, or not one that can be split."""
    op, x = add.node.op, add.node.inputs[0] if add.node.inputs else None
    if isinstance(op, QuantizedConv):  # its sum is made into codes once, at its end
        return None
    if x is None or x.type.rank != 5 or getattr(op, "layout", None) is not Layout.CHANNELS_LAST:
        return None
    if isinstance(op, MaxPool | AveragePool):
        return add.depth(_of_depth(op), add.images(_of_image(op), x))
    if isinstance(op, Resize):
        depth, height, width = op.size
        return add.depth(replace(op, size=(depth, height * width)), add.images(replace(op, size=(height, width)), x))
    if isinstance(op, Conv | ConvTranspose) and all(value.is_constant for value in add.node.inputs[1:]):
        return _conv(add, op, x) if isinstance(op, Conv) else _conv_transpose(add, op, x)
    return None


def _of_image(op: MaxPool | AveragePool) -> OpAttrs:
    """The pool without its depth."""
    kernel, stride, dilation = op.kernel[1:], op.stride[1:], op.dilation[1:]
    return replace(op, kernel=kernel, stride=stride, padding=op.padding[1:], dilation=dilation)


def _of_depth(op: MaxPool | AveragePool) -> OpAttrs:
    """The pool of the depth alone, over images of depth and all else."""
    padding: Padding = (op.padding[0], (0, 0))
    return replace(
        op, kernel=(op.kernel[0], 1), stride=(op.stride[0], 1), padding=padding, dilation=(op.dilation[0], 1)
    )


def _slices_of_kernel(add: _Splitter) -> list[Value]:
    """w [O, K, kh, kw, I] as K constants [O, kh, kw, I]."""
    weight = add.node.inputs[1]
    array = weight.array()
    return [
        add.graph.add_constant(np.ascontiguousarray(array[:, k]), f"{weight.name}_{k}") for k in range(array.shape[1])
    ]


def _image_conv(op: Conv | ConvTranspose) -> Conv | ConvTranspose:
    return replace(
        op,
        stride=op.stride[1:],
        padding=op.padding[1:],
        dilation=op.dilation[1:],
        activation=Activation.NONE,
    )


def _conv(add: _Splitter, op: Conv, x: Value) -> Value:
    x = _padded(add, x, *op.padding[0])
    count = add.node.output.type.shape[1]
    image, bias = _image_conv(op), add.node.inputs[2:]
    terms = []
    for k, weight in enumerate(_slices_of_kernel(add)):
        first = k * op.dilation[0]
        met = _cut(add, x, first, first + (count - 1) * op.stride[0] + 1, op.stride[0])
        terms.append(add.images(image, met, weight, *(bias if k == 0 else ())))
    return _activated(add, op, _sum(add, terms))


def _conv_transpose(add: _Splitter, op: ConvTranspose, x: Value) -> Value:
    """Every term is brought to the result's depth with zeros between, before and behind its slices."""
    before, after = op.padding[0]
    weights = _slices_of_kernel(add)
    reach = (len(weights) - 1) * op.dilation[0]
    terms = []
    for k, weight in enumerate(weights):
        y = _spread(add, add.images(_image_conv(op), x, weight), op.stride[0])
        front = k * op.dilation[0]
        terms.append(_padded(add, y, front, reach - front))
    full = _padded(add, _sum(add, terms), 0, max(-after, 0))
    y = _cut(add, full, before, before + add.node.output.type.shape[1], 1)
    if len(add.node.inputs) == 3:
        y = add.images(Add(), y, add.node.inputs[2])
    return _activated(add, op, y)


def _sum(add: _Splitter, terms: list[Value]) -> Value:
    y = terms[0]
    for term in terms[1:]:
        y = add(Add(), y, term)
    return y


def _activated(add: _Splitter, op: Conv | ConvTranspose, y: Value) -> Value:
    return y if op.activation is Activation.NONE else add(_ACTIVATIONS[op.activation], y)


def _padded(add: _Splitter, x: Value, before: int, after: int) -> Value:
    """Slices of zeros in front of the depth and behind it."""
    return add.flat(Pad((0, before, 0), (0, after, 0)), x) if before or after else x


def _cut(add: _Splitter, x: Value, start: int, stop: Dim, step: int) -> Value:
    """Every ``step``-th slice of the depth from ``start`` to before ``stop``."""
    if (start, stop, step) == (0, x.type.shape[1], 1):
        return x
    return add.flat(Slice((1,), (start,), (stop,), (step,)), x)


def _spread(add: _Splitter, y: Value, stride: int) -> Value:
    """``stride`` - 1 slices of zeros between slices."""
    if stride == 1:
        return y
    batch, depth, *image = y.type.shape
    wide = add(Pad((0, 0, 0), (0, stride - 1, 0)), add.shaped(y, batch * depth, 1, product(image)))
    return _cut(add, add.shaped(wide, batch, depth * stride, *image), 0, (depth - 1) * stride + 1, 1)
