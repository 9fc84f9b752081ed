"""What the rules of apply.py write to: the quantized graph, and what stands in it for each value of the float graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..exporter.errors import UsageError
from ..exporter.graph import Array, DType, Graph, Node, Quantization, Source, Value
from ..exporter.graph.types import CODES
from ..exporter.ops import (
    Add,
    Clamp,
    Conv,
    Dequantize,
    Floor,
    Layout,
    Linear,
    Mul,
    Quantize,
    Recode,
)
from ..exporter.ops.quantized import HIGHEST, LOWEST
from ..targets.pairs import fits_in_pairs, from_kernel_order, in_kernel_order, multiplies_in_pairs
from .forms import STRICT
from .plan import Plan
from .strict import in_steps, strict_filters
from .weights import Filters, cut_pairs, quantized_filters

WeightRule = Callable[[Node, Quantization, Quantization], Filters]
"""How the filters of a node become integers, given the quantization of its input and output."""


def rounded_filters(node: Node, of: Quantization, to: Quantization) -> Filters:
    """Each weight to the nearest code."""
    bias = node.inputs[2].array() if len(node.inputs) > 2 else None
    return quantized_filters(node.inputs[1].array(), bias, of.scale, to.scale)


def unit_filters(node: Node, of: Quantization, to: Quantization) -> Filters:
    """The filters of the strict scheme, in units (strict.py)."""
    bias = node.inputs[2].array() if len(node.inputs) > 2 else None
    return strict_filters(node.inputs[1].array(), bias, of.scale, to.scale)


def strict_codes(node: Node, of: Quantization, to: Quantization) -> Filters:
    """The filters of the strict scheme."""
    return in_steps(unit_filters(node, of, to))


def paired_filters(node: Node, of: Quantization, to: Quantization) -> Filters:
    """Each weight to a code near it that leaves room for its neighbour (targets/pairs.py says why)."""
    op, weight = node.op, node.inputs[1].array()
    assert isinstance(op, Conv | Linear)
    if not multiplies_in_pairs(op, weight, channels_of(node)):
        return rounded_filters(node, of, to)
    bias = node.inputs[2].array() if len(node.inputs) > 2 else None
    return _in_pairs(op, weight, bias, of, to)


def _in_pairs(op: Conv | Linear, weight: Array, bias: Array | None, of: Quantization, to: Quantization) -> Filters:
    made = quantized_filters(in_kernel_order(op, weight), bias, of.scale, to.scale, pairs=True)
    return replace(made, codes=from_kernel_order(op, made.codes, weight.shape))


def cut_to_pairs(op: Conv | Linear, made: Filters, channels: int) -> Filters:
    """Filters whose codes were chosen without a look at their neighbours, made to fit.

    channels   of the input
    """
    if fits_in_pairs(op, made.codes, channels):
        return made
    cut = cut_pairs(in_kernel_order(op, made.codes))
    return replace(made, codes=from_kernel_order(op, cut, made.codes.shape))


WEIGHTS: dict[str, WeightRule] = {"full": rounded_filters, "paired": paired_filters}


def weight_rule(scheme: str, weights: str = "full") -> WeightRule:
    """How a scheme rounds weights."""
    return strict_codes if scheme == STRICT else WEIGHTS[weights]


def channels_of(node: Node) -> int:
    """Of what a layer reads."""
    x = node.inputs[0].type
    channels = x.shape[node.op.layout.channel_axis(x.rank) if isinstance(node.op, Conv) else -1]
    assert isinstance(channels, int)
    return channels


class Writer:
    """Writes the quantized graph node by node.

    made_floats, made_codes   what stands for a value of the float graph, as float32 and as codes
    made_fine                 both codes of a value along an axis (fine_inputs.py)
    """

    def __init__(self, graph: Graph, plan: Plan, filters: WeightRule | None, *, paired: bool = False) -> None:
        self.source = graph
        self.plan = plan
        self.filters = filters or weight_rule(plan.scheme)
        self.strict = plan.scheme == STRICT
        self.paired = paired or self.filters is paired_filters
        self.border = None if plan.io == "float32" else DType(plan.io)
        self.graph = Graph(graph.name)
        self.graph.metadata = dict(graph.metadata)
        self.made_floats: dict[Value, Value] = {}
        self.made_codes: dict[Value, Value] = {}
        self.made_fine: dict[tuple[Value, int], Value] = {}

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
        codes = self.made_codes[value]
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
        if value not in self.made_floats:
            if value.is_constant:
                self.made_floats[value] = self.graph.add_constant(value.array(), value.name)
            else:
                codes = self.made_codes[value]
                assert codes.quantization is not None
                source = value.producer.source if value.producer else None
                op, name = Dequantize(codes.quantization), f"{value.name}/dequantize"
                self.made_floats[value] = self.graph.add(op, codes, name=name, source=source)
        return self.made_floats[value]

    def codes(self, value: Value) -> Value:
        """The value as codes, quantized where it is held as float32."""
        if value not in self.made_codes:
            to = self.quantization(value)
            if value.is_constant:
                steps = np.rint(value.array().astype(np.float64) / to.scale) + to.zero_point
                array = np.clip(steps, LOWEST, HIGHEST).astype(np.int8)
                self.made_codes[value] = self.graph.add_constant(array, value.name, to)
            else:
                source = value.producer.source if value.producer else None
                x = self.rounded(self.floats(value), to, value.name, source) if self.strict else self.floats(value)
                self.made_codes[value] = self.graph.add(Quantize(to), x, name=f"{value.name}/quantize", source=source)
        return self.made_codes[value]

    def rounded(self, x: Value, to: Quantization, name: str, source: Source | None) -> Value:
        """float32 at whole steps of ``to``, halves up, where kernels that quantize it cannot part.

        Numbers far beyond the codes are clamped first: LiteRT's own kernels take more than 2**31 steps for the wrong
        end.
        """
        reach = (HIGHEST - LOWEST + 1) * to.scale
        steps: list[tuple[str, Any, float | None]] = [
            ("clamp", Clamp(-reach, reach), None),
            ("steps", Mul(), 1 / float(np.float32(to.scale))),
            ("half", Add(), 0.5),
            ("floor", Floor(), None),
            ("whole", Mul(), to.scale),
        ]
        for role, op, operand in steps:
            named = f"{name}/rounded/{role}"
            operands = [] if operand is None else [self.constant(np.float32(operand), f"{named}.by")]
            x = self.graph.add(op, x, *operands, name=named, source=source)
        return x

    def filters_of(
        self, weight: Array, bias: Array, of: Quantization, to: Quantization, layout: Layout | None = None
    ) -> Filters:
        """Filters of what is no layer in the float graph.

        layout   of a convolution that reads all channels, whose weights may have to be paired; None: of one that reads
                 single channels
        """
        if self.strict:
            return in_steps(strict_filters(weight, bias, of.scale, to.scale))
        if self.paired and layout is not None:
            once = (1,) * (weight.ndim - 2)
            return _in_pairs(Conv(once, ((0, 0),) * len(once), once, 1, layout), weight, bias, of, to)
        return quantized_filters(weight, bias, of.scale, to.scale)

    def constant(self, array: Any, name: str) -> Value:
        return self.graph.add_constant(np.asarray(array), name)

    def node(self, node: Node, op: Any, *inputs: Value, last: bool = True, role: str = "") -> Value:
        """One node; the last of those that stand for a node has its name, and its output the value's."""
        name = node.name if last else f"{node.name}/{role or op.name}"
        names = [node.output.name] if last else []
        return self.graph.add_node(op, inputs, name=name, source=node.source, output_names=names).output

    def gives_codes(self, node: Node) -> bool:
        return node.output.name in self.plan.values
