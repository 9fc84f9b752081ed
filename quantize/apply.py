"""A float graph and a plan → the quantized graph, in which every port finds the same integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np

from ..exporter.errors import ModelError, UsageError
from ..exporter.graph import DType, Graph, Node, Quantization, Value
from ..exporter.graph.types import CODES
from ..exporter.ops import (
    Activation,
    Add,
    AveragePool,
    BatchNorm,
    Conv,
    Dequantize,
    Div,
    LayerNorm,
    Layout,
    Linear,
    Lookup,
    MatMul,
    Maximum,
    Mul,
    Pad,
    Quantize,
    QuantizedAdd,
    QuantizedConv,
    QuantizedLinear,
    QuantizedMatMul,
    QuantizedMul,
    QuantizedSoftmax,
    QuantizedSub,
    Recode,
    ReduceMean,
    ReduceSum,
    Reshape,
    Softmax,
    Sqrt,
    Sub,
    Transpose,
)
from ..exporter.ops.base import normalize_axis
from ..exporter.ops.quantized import HIGHEST, LOWEST
from .forms import MOST_EXACT, Form
from .plan import Plan
from .solve import coded_operands, unary_function
from .weights import Filters, quantized_filters

LONGEST_SOFTMAX = 2**11
"""Cells along a softmax of free length, for which the whole numbers of its table leave room."""

WeightRule = Callable[[Node, Quantization, Quantization], Filters]
"""How the filters of a node become integers, given the quantization of its input and output."""


def rounded_filters(node: Node, of: Quantization, to: Quantization) -> Filters:
    """Each weight to the nearest code."""
    bias = node.inputs[2].array() if len(node.inputs) > 2 else None
    return quantized_filters(node.inputs[1].array(), bias, of.scale, to.scale)


def apply(graph: Graph, plan: Plan, *, filters: WeightRule = rounded_filters) -> Graph:
    """The quantized graph; ``graph`` is the canonical one that the plan was made for, and is left alone.

    filters   how weights become integers
    raises    UsageError TP052 for a plan that is for another graph, or that contradicts itself
    """
    missing = [node.name for node in graph.nodes if node.name not in plan.nodes]
    if missing or len(plan.nodes) != len(graph.nodes):
        listed = ", ".join(missing[:3] or [n for n in plan.nodes if n not in {node.name for node in graph.nodes}][:3])
        raise UsageError("TP052", f"the plan is for another graph: {listed} is in one of them alone")
    return _Writer(graph, plan, filters).written()


class _Writer:
    """Writes the quantized graph node by node.

    _floats, _codes   what stands for a value of the float graph, as float32 and as codes
    """

    def __init__(self, graph: Graph, plan: Plan, filters: WeightRule) -> None:
        self.source = graph
        self.plan = plan
        self.filters = filters
        self.border = None if plan.io == "float32" else DType(plan.io)
        self.graph = Graph(graph.name)
        self.graph.metadata = dict(graph.metadata)
        self._floats: dict[Value, Value] = {}
        self._codes: dict[Value, Value] = {}

    def written(self) -> Graph:
        for value in self.source.inputs:
            if self.border and value.name in self.plan.values:
                self._codes[value] = self.coded_input(value, self.border)
            else:
                self._floats[value] = self.graph.add_input(value.name, value.type)
        for node in self.source.nodes:
            form = self.plan.nodes[node.name].form
            try:
                _WRITERS[form](self, node)
            except ModelError as error:
                raise UsageError(
                    "TP052",
                    f"the plan contradicts itself at {node.describe()}: {error.message}",
                    at=str(node.source) or None,
                    help="values that a move or a sum ties together need one scale and zero point",
                ) from error
        for name, value in self.source.outputs.items():
            coded = self.border and value in self._codes
            self.graph.set_output(name, self.coded_output(value) if coded else self.floats(value))
        return self.graph

    def coded_input(self, value: Value, border: DType) -> Value:
        """An input that takes codes; int8 is what the graph computes with."""
        to = self.quantization(value)
        type = replace(value.type, dtype=DType.INT8, quantization=to)
        if border is DType.INT8:
            return self.graph.add_input(value.name, type)
        shifted = replace(to, zero_point=to.zero_point + CODES[border] - CODES[DType.INT8])
        given = self.graph.add_input(value.name, replace(type, dtype=border, quantization=shifted))
        return self.graph.add(Recode(), given, name=f"{value.name}/recode")

    def coded_output(self, value: Value) -> Value:
        codes = self._codes[value]
        if self.border is DType.INT8:
            return codes
        source = value.producer.source if value.producer else None
        return self.graph.add(Recode(), codes, name=f"{value.name}/recode", source=source)

    # -- values ----------------------------------------------------------------------------------------------------

    def quantization(self, value: Value) -> Quantization:
        planned = self.plan.values.get(value.name)
        if planned is None:
            raise UsageError("TP052", f'the plan has no scale for "{value.name}", which is read as codes')
        return planned.quantization

    def floats(self, value: Value) -> Value:
        """The value as float32 (or whatever it was), dequantized where it is held as codes."""
        if value not in self._floats:
            if value.is_constant:
                self._floats[value] = self.graph.add_constant(value.array(), value.name)
            else:
                codes = self._codes[value]
                assert codes.quantization is not None
                source = value.producer.source if value.producer else None
                name = f"{value.name}/dequantize"
                self._floats[value] = self.graph.add(Dequantize(codes.quantization), codes, name=name, source=source)
        return self._floats[value]

    def codes(self, value: Value) -> Value:
        """The value as codes, quantized where it is held as float32."""
        if value not in self._codes:
            to = self.quantization(value)
            if value.is_constant:
                steps = np.rint(value.array().astype(np.float64) / to.scale) + to.zero_point
                array = np.clip(steps, LOWEST, HIGHEST).astype(np.int8)
                self._codes[value] = self.graph.add_constant(array, value.name, to)
            else:
                source = value.producer.source if value.producer else None
                x = self.floats(value)
                self._codes[value] = self.graph.add(Quantize(to), x, name=f"{value.name}/quantize", source=source)
        return self._codes[value]

    def constant(self, array: Any, name: str) -> Value:
        return self.graph.add_constant(np.asarray(array), name)

    def node(self, node: Node, op: Any, *inputs: Value, last: bool = True, role: str = "") -> Value:
        """One node; the last of those that stand for a node has its name, and its output the value's."""
        name = node.name if last else f"{node.name}/{role or op.name}"
        names = [node.output.name] if last else []
        return self.graph.add_node(op, inputs, name=name, source=node.source, output_names=names).output

    def gives_codes(self, node: Node) -> bool:
        return node.output.name in self.plan.values


def _float(writer: _Writer, node: Node) -> None:
    inputs = [writer.floats(value) for value in node.inputs]
    names = [value.name for value in node.outputs]
    made = writer.graph.add_node(node.op, inputs, name=node.name, source=node.source, output_names=names)
    writer._floats |= dict(zip(node.outputs, made.outputs, strict=True))


def _moves(writer: _Writer, node: Node) -> None:
    coded = coded_operands(node)
    inputs = [writer.codes(value) if value in coded else writer.floats(value) for value in node.inputs]
    op = node.op
    if isinstance(op, Pad):
        to = writer.quantization(node.output)
        code = np.clip(np.rint(op.value / to.scale) + to.zero_point, LOWEST, HIGHEST)
        op = replace(op, value=float(code))
    writer._codes[node.output] = writer.node(node, op, *inputs)


def _table(writer: _Writer, node: Node) -> None:
    """dequantize → the op → quantize; at the model's end a table of float32."""
    (x,) = coded_operands(node)
    if writer.gives_codes(node):
        inputs = [writer.floats(value) for value in node.inputs]
        y = writer.node(node, node.op, *inputs, last=False, role="real")
        writer._codes[node.output] = writer.node(node, Quantize(writer.quantization(node.output)), y)
        return
    of = writer.quantization(x)
    codes = np.arange(LOWEST, HIGHEST + 1, dtype=np.float64)
    table = unary_function(node)((codes - of.zero_point) * of.scale).astype(np.float32)
    op = Lookup(of, None)
    writer._floats[node.output] = writer.node(node, op, writer.codes(x), writer.constant(table, f"{node.name}.table"))


def _integer(writer: _Writer, node: Node) -> None:
    for ops, write in _INTEGER.items():
        if isinstance(node.op, ops):
            write(writer, node)
            return
    raise UsageError("TP052", f"the plan asks for integers in {node.describe()}, which has no such form")


def _filtered(writer: _Writer, node: Node) -> None:
    x = writer.codes(node.inputs[0])
    of, to = writer.quantization(node.inputs[0]), writer.quantization(node.output)
    made = writer.filters(node, of, to)
    inputs = [x, *_parameters(writer, node, made)]
    kind = QuantizedConv if isinstance(node.op, Conv) else QuantizedLinear
    attributes = {f.name: getattr(node.op, f.name) for f in fields(node.op)}
    writer._codes[node.output] = writer.node(node, kind(**attributes, of=of, to=to), *inputs)


def _sum(writer: _Writer, node: Node) -> None:
    op = node.op
    assert isinstance(op, Add | Sub)
    a, b = (writer.codes(value) for value in node.inputs)
    kind = QuantizedAdd if isinstance(op, Add) else QuantizedSub
    of, to = writer.quantization(node.inputs[0]), writer.quantization(node.output)
    writer._codes[node.output] = writer.node(node, kind(to, op.activation, of=of), a, b)


def _product(writer: _Writer, node: Node) -> None:
    op = node.op
    assert isinstance(op, Mul | MatMul)
    a, b = (writer.codes(value) for value in node.inputs)
    of = writer.quantization(node.inputs[0]), writer.quantization(node.inputs[1])
    to = writer.quantization(node.output)
    made = (
        QuantizedMul(to, op.activation, of=of) if isinstance(op, Mul) else QuantizedMatMul(op.transpose_b, of=of, to=to)
    )
    writer._codes[node.output] = writer.node(node, made, a, b)


def _softmax(writer: _Writer, node: Node) -> None:
    assert isinstance(node.op, Softmax)
    x, of = writer.codes(node.inputs[0]), writer.quantization(node.inputs[0])
    length = node.inputs[0].type.shape[normalize_axis(node.op.axis, node.inputs[0].type.rank)]
    largest = (MOST_EXACT - 1) // (length if isinstance(length, int) else LONGEST_SOFTMAX)
    table = np.rint(np.exp(-np.arange(256) * of.scale) * largest).astype(np.float32)
    to = writer.quantization(node.output) if writer.gives_codes(node) else None
    y = writer.node(node, QuantizedSoftmax(node.op.axis, of, to), x, writer.constant(table, f"{node.name}.table"))
    (writer._floats if to is None else writer._codes)[node.output] = y


def _mean(writer: _Writer, node: Node) -> None:
    """A mean over windows is a depthwise convolution with weights of 1 and a scale of 1 / cells."""
    op, x = node.op, writer.codes(node.inputs[0])
    assert isinstance(op, AveragePool | ReduceMean)
    if isinstance(op, AveragePool):
        kernel, stride, padding, dilation, layout = op.kernel, op.stride, op.padding, op.dilation, op.layout
    else:
        x, layout = _spatial(writer, node, x, op.axes)
        kernel = tuple(size for axis in layout.spatial_axes(x.type.rank) if isinstance(size := x.type.shape[axis], int))
        stride = dilation = (1,) * len(kernel)
        padding = ((0, 0),) * len(kernel)
    channels = x.type.shape[layout.channel_axis(x.type.rank)]
    assert isinstance(channels, int)
    of, to = writer.quantization(node.inputs[0]), writer.quantization(node.output)
    ones = (channels, 1, *kernel) if layout is Layout.CHANNELS_FIRST else (channels, *kernel, 1)
    inputs = [
        x,
        writer.constant(np.ones(ones, np.int8), f"{node.name}.ones"),
        writer.constant(np.full(channels, 1 / np.prod(kernel), np.float32), f"{node.name}.scale"),
        writer.constant(np.zeros(channels, np.int32), f"{node.name}.bias"),
    ]
    conv = QuantizedConv(stride, padding, dilation, channels, layout, Activation.NONE, of=of, to=to)
    if isinstance(op, AveragePool):
        writer._codes[node.output] = writer.node(node, conv, *inputs)
        return
    y = writer.node(node, conv, *inputs, last=False, role="mean")
    writer._codes[node.output] = writer.node(node, Reshape(node.output.type.shape), y)


def _spatial(writer: _Writer, node: Node, x: Value, axes: tuple[int, ...]) -> tuple[Value, Layout]:
    """x with the axes that a mean goes over where a layout has its spatial axes, moved there if they are elsewhere."""
    rank = x.type.rank
    for layout in (Layout.CHANNELS_FIRST, Layout.CHANNELS_LAST):
        if axes == tuple(layout.spatial_axes(rank)) and isinstance(x.type.shape[layout.channel_axis(rank)], int):
            return x, layout
    batch, channels = (axis for axis in range(rank) if axis not in axes)
    moved = writer.node(node, Transpose((batch, *axes, channels)), x, last=False)
    return moved, Layout.CHANNELS_LAST


def _batch_norm(writer: _Writer, node: Node) -> None:
    """One weight a channel: a depthwise convolution that looks at single cells."""
    op, x = node.op, node.inputs[0]
    assert isinstance(op, BatchNorm)
    scale, offset, mean, variance = (value.array().astype(np.float64) for value in node.inputs[1:])
    factor = scale / np.sqrt(variance + op.epsilon)
    axes = x.type.rank - 2
    layout = Layout.CHANNELS_FIRST if op.axis == 1 else Layout.CHANNELS_LAST
    of, to = writer.quantization(x), writer.quantization(node.output)
    made = quantized_filters(factor.reshape(-1, *[1] * (axes + 1)), offset - mean * factor, of.scale, to.scale)
    inputs = [writer.codes(x), *_parameters(writer, node, made)]
    once = (1,) * axes
    conv = QuantizedConv(once, ((0, 0),) * axes, once, len(factor), layout, Activation.NONE, of=of, to=to)
    writer._codes[node.output] = writer.node(node, conv, *inputs)


def _parameters(writer: _Writer, node: Node, made: Filters) -> tuple[Value, Value, Value]:
    return (
        writer.constant(made.codes, f"{node.name}.weight"),
        writer.constant(made.scale, f"{node.name}.scale"),
        writer.constant(made.bias, f"{node.name}.bias"),
    )


def _layer_norm(writer: _Writer, node: Node) -> None:
    """mean and variance from sums of whole steps, which are exact; every further step is one float32 operation.

    Roots alone are not IEEE's everywhere: XNNPACK's are off by one unit in the last place in three of ten. One step of
    Heron's, (s + v / s) / 2, gives the same from all of them: of 20 million roots two units off it left two apart.
    """
    op = node.op
    assert isinstance(op, LayerNorm)
    x = writer.floats(node.inputs[0])
    axes = tuple(range(x.type.rank - op.axes, x.type.rank))
    cells = np.prod([size for axis in axes if isinstance(size := node.inputs[0].type.shape[axis], int)])
    share = writer.constant(np.float32(1 / cells), "share")

    def step(op: Any, *inputs: Value) -> Value:
        return writer.node(node, op, *inputs, last=False)

    writer.codes(node.inputs[0])
    mean = step(Mul(), step(ReduceSum(axes, True), x), share)
    square = step(Mul(), step(ReduceSum(axes, True), step(Mul(), x, x)), share)
    zero = writer.constant(np.float32(0), "zero")
    variance = step(Maximum(), step(Sub(), square, step(Mul(), mean, mean)), zero)
    above_zero = step(Add(), variance, writer.constant(np.float32(op.epsilon), "epsilon"))
    root = step(Sqrt(), above_zero)
    half = writer.constant(np.float32(0.5), "half")
    deviation = step(Mul(), step(Add(), root, step(Div(), above_zero, root)), half)
    y = step(Div(), step(Sub(), x, mean), deviation)
    for kind, value in zip((Mul, Add), node.inputs[1:], strict=False):
        y = step(kind(), y, writer.floats(value))
    if writer.gives_codes(node):
        writer._codes[node.output] = writer.node(node, Quantize(writer.quantization(node.output)), y)
    else:
        writer._floats[node.output] = y


_INTEGER: dict[Any, Callable[[_Writer, Node], None]] = {
    Conv | Linear: _filtered,
    Add | Sub: _sum,
    Mul | MatMul: _product,
    Softmax: _softmax,
    AveragePool | ReduceMean: _mean,
    BatchNorm: _batch_norm,
}

_WRITERS: dict[Form, Callable[[_Writer, Node], None]] = {
    Form.FLOAT: _float,
    Form.MOVES: _moves,
    Form.TABLE: _table,
    Form.INTEGER: _integer,
    Form.EXACT: _layer_norm,
}
