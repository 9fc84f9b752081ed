"""A float graph and a plan → the quantized graph, in which every port finds the same integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np

from ..exporter.errors import ModelError, UsageError
from ..exporter.graph import Graph, Node, Value
from ..exporter.ops import (
    Add,
    AveragePool,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dequantize,
    Div,
    LayerNorm,
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
    ReduceMax,
    ReduceMean,
    ReduceSum,
    Softmax,
    Sqrt,
    Sub,
)
from ..exporter.ops.base import normalize_axis
from ..exporter.ops.quantized import HIGHEST, LOWEST
from ..exporter.passes.exact_values import exact_values
from .arithmetic import softmax_table
from .fine_inputs import fine_values_of, in_two_codes
from .forms import MOST_EXACT, Form, is_float_by_nature
from .plan import Plan
from .solve import coded_operands, unary_function
from .spelled import spelled
from .store_weights import store_float_layers
from .strict import WITHOUT_KERNEL
from .windows import batch_norm, conv_transpose, largest, mean, parameters
from .writer import WeightRule, Writer

LONGEST_SOFTMAX = 2**11
"""Cells along a softmax of free length, for which the whole numbers of its table leave room."""


def apply(graph: Graph, plan: Plan, *, filters: WeightRule | None = None, paired: bool = False) -> Graph:
    """The quantized graph; ``graph`` is the canonical one that the plan was made for, and is left alone.

    filters   how weights become integers; default: as the plan's scheme has it
    paired    whether those of what becomes a layer only here are paired, too
    raises    UsageError TP052 for a plan that is for another graph, or that contradicts itself
    """
    missing = [node.name for node in graph.nodes if node.name not in plan.nodes]
    if missing or len(plan.nodes) != len(graph.nodes):
        listed = ", ".join(missing[:3] or [n for n in plan.nodes if n not in {node.name for node in graph.nodes}][:3])
        raise UsageError("TP052", f"the plan is for another graph: {listed} is in one of them alone")
    return _written(Writer(graph, plan, filters, paired=paired))


def _written(writer: Writer) -> Graph:
    for value in writer.source.inputs:
        if writer.border and value.name in writer.plan.values:
            writer.made_codes[value] = writer.coded_input(value, writer.border)
        else:
            writer.made_floats[value] = writer.graph.add_input(value.name, value.type)
    for node in writer.source.nodes:
        form = writer.plan.nodes[node.name].form
        try:
            _WRITERS[form](writer, node)
        except ModelError as error:
            raise UsageError(
                "TP052",
                f"the plan contradicts itself at {node.describe()}: {error.message}",
                at=str(node.source) or None,
                help="values that a move ties together need one scale and zero point, and the scales of what a "
                "sum adds a ratio of small whole numbers",
            ) from error
        for value in node.outputs:
            _check_written(writer, node, value)
    store_float_layers(writer.graph, _float_by_nature(writer))
    exact = exact_values(writer.graph) if writer.border else frozenset()
    for name, value in writer.source.outputs.items():
        coded = writer.made_codes.get(value) in exact  # other codes are not the same on every port
        writer.graph.set_output(name, writer.coded_output(value) if coded else writer.floats(value))
    return writer.graph


def _float_by_nature(writer: Writer) -> set[str]:
    """Nodes whose weights are stored in 8 bits though they compute in float32: recurrent layers, embeddings."""
    planned = {node: writer.plan.nodes[node.name] for node in writer.source.nodes}
    return {
        node.name
        for node, plan in planned.items()
        if plan.form is Form.FLOAT and is_float_by_nature(node, plan.reason, writer.plan.scheme)
    }


def _check_written(writer: Writer, node: Node, value: Value) -> None:
    """A move gives codes of what it reads, whatever the plan says of its result."""
    made, planned = writer.made_codes.get(value), writer.plan.values.get(value.name)
    if made is not None and planned is not None and made.quantization != planned.quantization:
        raise UsageError(
            "TP052",
            f"the plan contradicts itself at {node.describe()}: its result has {made.quantization}, and the plan says "
            f"{planned.quantization}",
            at=str(node.source) or None,
            help=f'give "{value.name}" the scale and zero point of what {node.op.label()} reads',
        )


def _float(writer: Writer, node: Node) -> None:
    inputs = [writer.floats(value) for value in node.inputs]
    if writer.strict and isinstance(node.op, WITHOUT_KERNEL):
        writer.made_floats[node.output] = spelled(writer, node, inputs[0])
        return
    names = [value.name for value in node.outputs]
    made = writer.graph.add_node(node.op, inputs, name=node.name, source=node.source, output_names=names)
    writer.made_floats |= dict(zip(node.outputs, made.outputs, strict=True))


def _moves(writer: Writer, node: Node) -> None:
    if isinstance(node.op, ReduceMax):
        largest(writer, node)
        return
    coded = coded_operands(node)
    inputs = [writer.codes(value) if value in coded else writer.floats(value) for value in node.inputs]
    op = node.op
    if isinstance(op, Pad):
        to = writer.quantization(node.output)
        code = np.clip(np.rint(op.value / to.scale) + to.zero_point, LOWEST, HIGHEST)
        op = replace(op, value=float(code))
    writer.made_codes[node.output] = writer.node(node, op, *inputs)


def _table(writer: Writer, node: Node) -> None:
    """dequantize → the op → quantize; at the model's end a table of float32, and of codes where a kernel is missing."""
    (x,) = coded_operands(node)
    if writer.gives_codes(node) and not (writer.strict and isinstance(node.op, WITHOUT_KERNEL)):
        inputs = [writer.floats(value) for value in node.inputs]
        y = writer.node(node, node.op, *inputs, last=False, role="real")
        writer.made_codes[node.output] = writer.node(node, Quantize(writer.quantization(node.output)), y)
        return
    of, to = writer.quantization(x), writer.quantization(node.output) if writer.gives_codes(node) else None
    codes = np.arange(LOWEST, HIGHEST + 1, dtype=np.float64)
    table = unary_function(node)((codes - of.zero_point) * of.scale)
    if to is not None:
        table = np.clip(np.rint(table / to.scale) + to.zero_point, LOWEST, HIGHEST)
    entries = writer.constant(table.astype(np.float32 if to is None else np.int8), f"{node.name}.table")
    made = writer.made_floats if to is None else writer.made_codes
    made[node.output] = writer.node(node, Lookup(of, to), writer.codes(x), entries)


def _integer(writer: Writer, node: Node) -> None:
    for ops, write in _INTEGER.items():
        if isinstance(node.op, ops):
            write(writer, node)
            return
    raise UsageError("TP052", f"the plan asks for integers in {node.describe()}, which has no such form")


def _filtered(writer: Writer, node: Node) -> None:
    x = writer.codes(node.inputs[0])
    of, to = writer.quantization(node.inputs[0]), writer.quantization(node.output)
    made = writer.filters(node, of, to)
    if node.inputs[0] in fine_values_of(writer.source, writer.plan):
        x, made = in_two_codes(writer, node, made)
    inputs = [x, *parameters(writer, node, made)]
    kind = QuantizedConv if isinstance(node.op, Conv) else QuantizedLinear
    attributes = {f.name: getattr(node.op, f.name) for f in fields(node.op)}
    writer.made_codes[node.output] = writer.node(node, kind(**attributes, of=of, to=to), *inputs)


def _sum(writer: Writer, node: Node) -> None:
    op = node.op
    assert isinstance(op, Add | Sub)
    a, b = (writer.codes(value) for value in node.inputs)
    kind = QuantizedAdd if isinstance(op, Add) else QuantizedSub
    of = writer.quantization(node.inputs[0]), writer.quantization(node.inputs[1])
    to = writer.quantization(node.output)
    writer.made_codes[node.output] = writer.node(node, kind(to, op.activation, of=of), a, b)


def _product(writer: Writer, node: Node) -> None:
    op = node.op
    assert isinstance(op, Mul | MatMul)
    a, b = (writer.codes(value) for value in node.inputs)
    of = writer.quantization(node.inputs[0]), writer.quantization(node.inputs[1])
    to = writer.quantization(node.output)
    made = (
        QuantizedMul(to, op.activation, of=of) if isinstance(op, Mul) else QuantizedMatMul(op.transpose_b, of=of, to=to)
    )
    writer.made_codes[node.output] = writer.node(node, made, a, b)


def _softmax(writer: Writer, node: Node) -> None:
    assert isinstance(node.op, Softmax)
    x, of = writer.codes(node.inputs[0]), writer.quantization(node.inputs[0])
    length = node.inputs[0].type.shape[normalize_axis(node.op.axis, node.inputs[0].type.rank)]
    largest = (MOST_EXACT - 1) // (length if isinstance(length, int) else LONGEST_SOFTMAX)
    to = writer.quantization(node.output) if writer.gives_codes(node) else None
    table = softmax_table(of.scale, largest, gives_codes=to is not None)
    if writer.strict and to is not None:
        entries = writer.constant(table, f"{node.name}.table")
        shares = QuantizedSoftmax(node.op.axis, of, None)
        _end(writer, node, writer.node(node, shares, x, entries, last=False, role="shares"))
        return
    y = writer.node(node, QuantizedSoftmax(node.op.axis, of, to), x, writer.constant(table, f"{node.name}.table"))
    (writer.made_floats if to is None else writer.made_codes)[node.output] = y


def _layer_norm(writer: Writer, node: Node) -> None:
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
    _end(writer, node, y)


def _end(writer: Writer, node: Node, y: Value) -> None:
    """What a node computed as float32, as codes where the plan wants those."""
    if not writer.gives_codes(node):
        writer.made_floats[node.output] = y
        return
    to = writer.quantization(node.output)
    if writer.strict:
        y = writer.rounded(y, to, node.name, node.source)
    writer.made_codes[node.output] = writer.node(node, Quantize(to), y)


def _exact(writer: Writer, node: Node) -> None:
    if isinstance(node.op, LayerNorm):
        _layer_norm(writer, node)
    elif isinstance(node.op, Mul):
        _float_product(writer, node)
    else:
        raise UsageError("TP052", f"the plan asks for exact float in {node.describe()}, which has no such form")


def _float_product(writer: Writer, node: Node) -> None:
    """dequantize, multiply, quantize: `product_is_safe` has gone through all pairs of codes."""
    reals = []
    for i, value in enumerate(node.inputs):
        of = writer.quantization(value)
        reals.append(writer.node(node, Dequantize(of), writer.codes(value), last=False, role=f"real_{i}"))
    y = writer.node(node, node.op, *reals, last=not writer.gives_codes(node), role="product")
    if writer.gives_codes(node):
        y = writer.node(node, Quantize(writer.quantization(node.output)), y)
        writer.made_codes[node.output] = y
    else:
        writer.made_floats[node.output] = y


_INTEGER: dict[Any, Callable[[Writer, Node], None]] = {
    Conv | Linear: _filtered,
    Add | Sub: _sum,
    Mul | MatMul: _product,
    Softmax: _softmax,
    AveragePool | ReduceMean: mean,
    BatchNorm: batch_norm,
    ConvTranspose: conv_transpose,
}

_WRITERS: dict[Form, Callable[[Writer, Node], None]] = {
    Form.FLOAT: _float,
    Form.MOVES: _moves,
    Form.TABLE: _table,
    Form.INTEGER: _integer,
    Form.EXACT: _exact,
}
