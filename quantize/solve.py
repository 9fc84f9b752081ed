"""From what calibration saw to scales and zero points that every runtime rounds alike.

Values that must share a scale form a group: what a move reads and writes, what a sum adds. Each group gets the scale
that its members' ranges ask for, and is then raised, by parts of a thousand, until no sum, product or table that writes
into it comes near a tie (arithmetic.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..exporter.errors import UsageError
from ..exporter.graph import Graph, Node, Quantization, Value
from ..exporter.ops import Add, LayerNorm, MatMul, Mul, Sub
from ..exporter.ops.quantized import HIGHEST, LOWEST
from .arithmetic import STEP, SUM_RATIOS, Reals, add_is_safe, mul_is_safe, nudged, sub_is_safe, unary_margin
from .forms import MOST_EXACT, STRICT, Decision, Form, data, own_decision
from .means import cells_of_mean, untied_scales
from .observe import Range
from .plan import NodePlan, Plan, ValuePlan
from .strict import SCALE_BITS, matmul_is_safe, product_is_safe, safe_for_matmul, short_above

TABLE_MARGIN = 5e-4
"""Steps. float32 functions of the runtimes are off by 1e-6 of their result at most, which is below 255 steps."""

ROUNDS = 64
"""Passes over all checks before a node that cannot be settled is left float."""

LEAST_RANGE = 1e-6
"""A value that hardly differs from 0 has codes nevertheless."""

IDLE_RANGE = 1.0
"""What the codes of a value cover that was always 0: other numbers are then met by layers that have usual scales."""

MOST_PRODUCT = 128.0
"""Steps of the result that one step of a product is at most: kernels are made for up to 255."""


@dataclass
class _Group:
    """Values of one scale and zero point.

    power_of_two   the scale has to be one: products are then exact in float32
    symmetric      the zero point is 0, which keeps sums of squares and of products small
    even           the zero point is even: runtimes add it before or after they round
    short          the scale has 16 significant bits: every code then is an exact float32 in LiteRT's plain kernels,
                   which dequantize by scale * code - scale * zero point
    """

    members: dict[str, Range] = field(default_factory=dict)
    power_of_two: bool = False
    symmetric: bool = False
    even: bool = False
    short: bool = False
    quantization: Quantization = field(default_factory=lambda: Quantization(1.0, 0))

    def raise_to(self, scale: float) -> None:
        """Makes the scale at least that large."""
        if self.quantization.scale < scale:
            self.take(2.0 ** math.ceil(math.log2(scale)) if self.power_of_two else _float32_above(scale))

    def take(self, scale: float) -> None:
        """The scale, or the next that a member may have."""
        scale = short_above(scale) if self.short else scale
        self.quantization = Quantization(scale, self.quantization.zero_point)

    def settle(self) -> None:
        """The scale that the members' ranges ask for."""
        low = min(low for low, _ in self.members.values())
        high = max(high for _, high in self.members.values())
        if low == high == 0:
            high = IDLE_RANGE
        self.quantization = quantization_for(
            low, high, power_of_two=self.power_of_two, symmetric=self.symmetric, even=self.even
        )
        self.take(self.quantization.scale)


def quantization_for(
    low: float, high: float, *, power_of_two: bool = False, symmetric: bool = False, even: bool = False
) -> Quantization:
    """Codes for the range, which holds 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    if symmetric:
        low, high = -max(-low, high), max(-low, high)
    steps = HIGHEST - LOWEST - (1 if symmetric else 0)
    scale = max(high - low, LEAST_RANGE) / steps
    if power_of_two:
        exponent = math.ceil(math.log2(scale))
        # One step less at the end costs less than half of the resolution everywhere.
        scale = 2.0 ** (exponent - 1 if (high - low) / 2.0 ** (exponent - 1) <= steps + 2 else exponent)
    if symmetric:
        return Quantization(float(np.float32(scale)), 0)
    zero = min(max(round(LOWEST - low / scale), LOWEST), HIGHEST)
    if even and zero % 2:
        zero += 1 if zero < 0 else -1
        if not power_of_two:
            scale = max(scale, high / (HIGHEST - zero), -low / (zero - LOWEST) if zero > LOWEST else 0.0)
    return Quantization(_float32_above(scale), zero)


def _float32_above(scale: float) -> float:
    single = np.float32(scale)
    return float(single if single >= scale else np.nextafter(single, np.float32(np.inf)))


class Unsettled(Exception):
    """No scale of the output's group keeps a node from ties."""

    def __init__(self, node: Node) -> None:
        super().__init__(node.name)
        self.node = node


def solve(
    graph: Graph, decisions: Mapping[Node, Decision], ranges: Mapping[str, Range], scheme: str, io: str = "float32"
) -> Plan:
    """The plan for a canonical graph.

    ranges   {value name: range} of every value that `coded_values` lists and that is no constant
    io       the dtype of inputs and outputs (plan.py)
    """
    groups = _groups(coded_values(graph, decisions, io), graph, decisions, ranges)
    if scheme == STRICT:
        for group in groups.values():
            group.short = True
    for group in {id(group): group for group in groups.values()}.values():
        group.settle()
    for node in graph.nodes:
        if decisions[node].form in (Form.INTEGER, Form.EXACT) and isinstance(node.op, Add | Sub | Mul):
            groups[node.output.name].raise_to(_least_scale(node, groups))
    checks = [(node, check) for node in graph.nodes if (check := _check(node, decisions[node].form, groups, scheme))]
    for _ in range(ROUNDS):
        mended = [_mend(node, check, groups) for node, check in checks]
        if not any(mended):
            break
    else:
        raise Unsettled(next(node for node, check in checks if not check()))
    if scheme != STRICT:
        _untie_means(graph, decisions, groups, checks)
    return Plan(
        scheme,
        {node.name: NodePlan(decisions[node].form, decisions[node].reason) for node in graph.nodes},
        {name: ValuePlan(group.quantization, *group.members[name]) for name, group in groups.items()},
        io,
    )


def check_plan(graph: Graph, plan: Plan) -> None:
    """UsageError TP052 for a form that a node does not have, or a scale at which runtimes round in different ways.

    For plans that were read and perhaps edited; what `solve` returns passes.
    """
    _check_short(plan)
    groups = {name: _Group(quantization=value.quantization) for name, value in plan.values.items()}
    for node in graph.nodes:
        planned = plan.nodes.get(node.name)
        forms = {Form.FLOAT, own_decision(node, plan.scheme).form}
        if planned and planned.form not in forms:
            listed = " or ".join(sorted(f'"{form.value}"' for form in forms))
            raise UsageError(
                "TP052",
                f'the plan asks for the form "{planned.form.value}" of {node.describe()}, which has {listed}',
                at=str(node.source) or None,
            )
        known = all(v.name in groups for v in (*coded_operands(node), *node.outputs))
        check = _check(node, planned.form, groups, plan.scheme) if planned and known else None
        if check is not None and not check():
            raise UsageError(
                "TP052",
                f'at the plan\'s scale of "{node.output.name}" results of {node.describe()} come so near to half a '
                "step that runtimes would round them in different ways",
                at=str(node.source) or None,
                help="raise the scale by a few parts of a thousand, or calibrate again",
            )


def _check_short(plan: Plan) -> None:
    """UsageError TP052 for a scale that `strict` kernels would not dequantize exactly."""
    for name, value in plan.values.items() if plan.scheme == STRICT else ():
        scale = value.quantization.scale
        if short_above(scale) != scale:
            raise UsageError(
                "TP052",
                f'the plan\'s scale of "{name}", {scale!r}, has more than {SCALE_BITS} significant bits: kernels '
                f"would dequantize it in different ways, which {STRICT} rules out",
                help=f"take {short_above(scale)!r}",
            )


def coded_values(graph: Graph, decisions: Mapping[Node, Decision], io: str = "float32") -> list[Value]:
    """Every value that is held as codes, constants among them, in the order of the graph."""
    coded: dict[Value, None] = {}
    for node in graph.nodes:
        if decisions[node].form is Form.FLOAT:
            continue
        coded |= dict.fromkeys(coded_operands(node))
        if io != "float32" or not gives_float(graph, node, decisions):
            coded[node.output] = None
    return list(coded)


def coded_operands(node: Node) -> tuple[Value, ...]:
    """What a node that is not float reads as codes: its activations, and constants that stand beside them."""
    if isinstance(node.op, Add | Sub | Mul) and all(v.type.elements != 1 or not v.is_constant for v in node.inputs):
        return node.inputs
    return data(node) if node.op.name != "concat" else node.inputs


def gives_float(graph: Graph, node: Node, decisions: Mapping[Node, Decision]) -> bool:
    """Whether a table or a softmax at the model's end gives float32 of full resolution: nobody reads codes of it."""
    table = decisions[node].form is Form.TABLE or node.op.name == "softmax"
    return table and graph.is_output(node.output) and all(decisions[u].form is Form.FLOAT for u in node.output.users)


def _groups(
    values: Iterable[Value], graph: Graph, decisions: Mapping[Node, Decision], ranges: Mapping[str, Range]
) -> dict[str, _Group]:
    groups = {value.name: _Group({value.name: _range(value, ranges)}) for value in values}
    for node in graph.nodes:
        form = decisions[node].form
        if form is Form.MOVES:
            _join(groups, [*coded_operands(node), node.output])
        elif form is Form.INTEGER and isinstance(node.op, Add | Sub):
            _join(groups, node.inputs)
    for node in graph.nodes:
        form = decisions[node].form
        if form is Form.INTEGER and isinstance(node.op, MatMul):
            length = node.inputs[0].type.shape[-1]
            wide = not isinstance(length, int) or length * 255 * 255 >= MOST_EXACT
            for value in node.inputs:
                groups[value.name].power_of_two = True
                groups[value.name].symmetric |= wide
        elif form is Form.EXACT and isinstance(node.op, LayerNorm):
            groups[node.inputs[0].name].power_of_two = groups[node.inputs[0].name].symmetric = True
        elif form is Form.INTEGER and isinstance(node.op, Mul):
            groups[node.output.name].even = True
    return groups


def _range(value: Value, ranges: Mapping[str, Range]) -> Range:
    if value.is_constant:
        array = value.array()
        return min(float(array.min()), 0.0), max(float(array.max()), 0.0)
    return ranges[value.name]


def _join(groups: dict[str, _Group], values: list[Value] | tuple[Value, ...]) -> None:
    first = groups[values[0].name]
    for value in values[1:]:
        other = groups[value.name]
        if other is not first:
            first.members |= other.members
            for name in other.members:
                groups[name] = first


def _least_scale(node: Node, groups: Mapping[str, _Group]) -> float:
    """The finest scale of the result that kernels are made for; finer ones are asked for by results near 0 alone."""
    a, b = (groups[value.name].quantization.scale for value in node.inputs)
    return a * b / MOST_PRODUCT if isinstance(node.op, Mul) else a / SUM_RATIOS[1]


def _check(node: Node, form: Form, groups: Mapping[str, _Group], scheme: str) -> Callable[[], bool] | None:
    """Whether a node is safe with the groups' scales as they are now; None for one that always is."""
    out = groups.get(node.outputs[0].name)
    if out is None or form in (Form.FLOAT, Form.MOVES):
        return None
    if scheme == STRICT and isinstance(node.op, Mul | MatMul) and form is not Form.TABLE:
        a, b = (groups[value.name] for value in node.inputs)
        is_safe = product_is_safe if isinstance(node.op, Mul) else matmul_is_safe
        return lambda: is_safe(a.quantization, b.quantization, out.quantization)
    if form is Form.TABLE:
        function, x = unary_function(node), groups[data(node)[0].name]
        return lambda: unary_margin(function, x.quantization, out.quantization) >= TABLE_MARGIN
    if form is Form.EXACT or not isinstance(node.op, Add | Sub | Mul):
        return None
    a, b = (groups[value.name] for value in node.inputs)
    if isinstance(node.op, Mul):
        return lambda: mul_is_safe(a.quantization, b.quantization, out.quantization)
    safe = add_is_safe if isinstance(node.op, Add) else sub_is_safe
    return lambda: safe(a.quantization, out.quantization)


def _mend(node: Node, check: Callable[[], bool], groups: Mapping[str, _Group]) -> bool:
    """Raises the output's scale, or where that is bound an operand's, until the node is safe; True when it had to."""
    if check():
        return False
    _raise_to_equal(node, groups)
    _raise_to_odd(node, groups)
    if check():
        return True
    for value in (node.output, *coded_operands(node)):
        group = groups[value.name]
        if group.power_of_two:
            continue
        before = group.quantization

        def safe(scale: float, group: _Group = group) -> bool:
            group.take(scale)
            return check()

        if nudged(before.scale * (1 + STEP), safe) is not None:
            return True
        group.quantization = before
    raise Unsettled(node)


def _untie_means(
    graph: Graph,
    decisions: Mapping[Node, Decision],
    groups: Mapping[str, _Group],
    checks: Sequence[tuple[Node, Callable[[], bool]]],
) -> None:
    """Raises results of means slightly, where nothing else has a say in their scale, so that these are fast."""
    for node in graph.nodes:
        cells = cells_of_mean(node) if decisions[node].form is Form.INTEGER else None
        group = groups[node.output.name] if cells else None
        of = groups[node.inputs[0].name] if cells else None
        if cells is None or group is None or of is None or group is of or group.power_of_two:
            continue
        bound = [check for other, check in checks if any(groups.get(v.name) is group for v in _coded(other))]
        before = group.quantization
        for scale in untied_scales(cells, of.quantization, before):
            group.take(scale)
            if all(check() for check in bound):
                break
        else:
            group.quantization = before


def _coded(node: Node) -> tuple[Value, ...]:
    return *coded_operands(node), *node.outputs


def _raise_to_equal(node: Node, groups: Mapping[str, _Group]) -> None:
    """Where a sum and its operands need powers of two, ratios of which make ties: both get the larger scale."""
    bound = [groups[value.name] for value in (node.output, *coded_operands(node))]
    if isinstance(node.op, Add | Sub) and all(group.power_of_two for group in bound):
        largest = max(group.quantization.scale for group in bound)
        for group in bound:
            group.quantization = Quantization(largest, group.quantization.zero_point)


def _raise_to_odd(node: Node, groups: Mapping[str, _Group]) -> None:
    """The scale of a strict matrix product becomes an odd multiple of its operands'."""
    out = groups[node.output.name]
    if isinstance(node.op, MatMul) and not out.power_of_two:
        a, b = (groups[value.name].quantization for value in node.inputs)
        out.quantization = safe_for_matmul(a, b, out.quantization) or out.quantization


def unary_function(node: Node) -> Callable[[Reals], Reals]:
    """What a node does to one cell, in float64."""

    def function(x: Reals) -> Reals:
        import torch

        from ..exporter.reference.registry import compute

        operands = [
            torch.tensor(float(value.array().reshape(-1)[0]), dtype=torch.float64)
            if value.is_constant
            else torch.from_numpy(x)
            for value in node.inputs
        ]
        (result,) = compute(node.op, operands, {})
        return np.asarray(result.to(torch.float64).numpy(), np.float64)

    return function
