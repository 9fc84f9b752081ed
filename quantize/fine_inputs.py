"""Inputs of 12 bits: a float input that layers read is rounded to a code, and what that leaves to a second one.

    high = quantize(x)      low = quantize((x - dequantize(high)) * 16)      [high, low] * [w, w / 16]

Both have one scale and zero point, so that the layer reads them as twice the channels, and its sums stay whole numbers.
Weights of 8 bits are why 16 is the factor: of w / 16 the coarse codes of w are left, which cost more beyond it. The
scale has 16 significant bits: what is dequantized is exact, and its difference to x rounded once, alike everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..exporter.errors import UsageError
from ..exporter.graph import Graph, Node, Value
from ..exporter.ops import Concat, Conv, Dequantize, Layout, Linear, Mul, Quantize, Sub
from .forms import Form
from .observe import Range
from .plan import Plan
from .weights import Filters
from .writer import Writer, channels_of, cut_to_pairs

INPUT_BITS = (8, 12)

FINER = 16
"""Steps of the second code in one of the first."""

ROOM = FINER // 2 + 1
"""Codes on either side of 0 that what is left needs."""


def fine_values(graph: Graph, forms: Mapping[str, Form]) -> list[Value]:
    """What comes from inputs alone by float32, and is read as codes by layers that read all channels, and nothing else.

    forms   {node name: its form} of a canonical graph
    """
    return [value for value, others in _borders(graph, forms).items() if not others]


def fine_values_of(graph: Graph, plan: Plan) -> list[Value]:
    """`fine_values` of a plan whose inputs have 12 bits; else none."""
    if plan.input_bits == INPUT_BITS[0]:
        return []
    return fine_values(graph, {name: node.form for name, node in plan.nodes.items()})


def check_fine(graph: Graph, forms: Mapping[str, Form]) -> None:
    """UsageError TP050 where an input that becomes codes cannot have 12 bits, or none becomes codes."""
    borders = _borders(graph, forms)
    for value, others in borders.items():
        if others:
            raise UsageError(
                "TP050",
                f'input_bits 12 is for inputs that convolutions and linear layers read, and "{value.name}" is read by '
                f"{others[0].describe()}",
                at=str(others[0].source) or None,
                help="leave out input_bits (--input-bits), or keep that layer float with keep_float (--keep-float)",
            )
    if not borders:
        raise UsageError(
            "TP050", "input_bits 12 would change nothing: no layer on codes reads a float input", help="leave it out"
        )


def with_room(seen: Range) -> Range:
    """The range, in which 0 is at least `ROOM` codes from either end."""
    low, high = min(seen[0], 0.0), max(seen[1], 0.0)
    room = (high - low) * ROOM / (255 - 2 * ROOM)
    return min(low, -room), max(high, room)


def in_two_codes(writer: Writer, node: Node, made: Filters) -> tuple[Value, Filters]:
    """Both codes of what a layer reads along its channels, and filters for them."""
    value, op = node.inputs[0], node.op
    assert isinstance(op, Conv | Linear)
    rank = value.type.rank
    axis = op.layout.channel_axis(rank) if isinstance(op, Conv) else rank - 1
    last = isinstance(op, Conv) and op.layout is Layout.CHANNELS_LAST
    low = np.rint(made.codes / FINER).astype(np.int8)
    both = _both(writer, value, axis)
    codes = np.concatenate([made.codes, low], made.codes.ndim - 1 if last else 1)
    found = replace(made, codes=codes)
    return both, cut_to_pairs(op, found, 2 * channels_of(node)) if writer.paired else found


def _both(writer: Writer, value: Value, axis: int) -> Value:
    if (value, axis) not in writer.made_fine:
        to, name = writer.quantization(value), f"{value.name}/low"
        source = value.producer.source if value.producer else None
        high, x = writer.codes(value), writer.floats(value)
        add = writer.graph.add
        back = add(Dequantize(to), high, name=f"{name}/high", source=source)
        rest = add(Sub(), x, back, name=f"{name}/rest", source=source)
        grown = add(
            Mul(), rest, writer.constant(np.float32(FINER), f"{name}/finer"), name=f"{name}/grown", source=source
        )
        low = add(Quantize(to), grown, name=f"{name}/quantize", source=source)
        writer.made_fine[value, axis] = add(Concat(axis), high, low, name=f"{name}/both", source=source)
    return writer.made_fine[value, axis]


def _borders(graph: Graph, forms: Mapping[str, Form]) -> dict[Value, list[Node]]:
    """{what is rounded to codes for the first time, and of a float input: readers on codes that take no second one}"""
    given = {value for value in graph.inputs if value.type.dtype.is_float}
    for node in graph.nodes:
        read = [value for value in node.inputs if not value.is_constant]
        if forms[node.name] is Form.FLOAT and read and all(value in given for value in read):
            given.update(value for value in node.outputs if value.type.dtype.is_float)
    found: dict[Value, list[Node]] = {}
    for node in graph.nodes:
        for value in node.inputs if forms[node.name] is not Form.FLOAT else ():
            if value in given:
                others = found.setdefault(value, [])
                others += [] if _reads_all_channels(node, value) else [node]
    return found


def _reads_all_channels(node: Node, value: Value) -> bool:
    op = node.op
    layer = isinstance(op, Linear) or (isinstance(op, Conv) and op.groups == 1)
    return layer and node.inputs[0] is value and value not in node.inputs[1:]
