"""From what calibration saw to scales and zero points that every runtime rounds alike.

Values that must share a scale form a group: what a move reads and writes. Each group gets the scale that its members'
ranges ask for, and is then raised, by parts of a thousand, until no sum, product or table that writes into it comes
near a tie (arithmetic.py, sums.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np

from ..exporter.errors import UsageError
from ..exporter.graph import Graph, Node, Quantization, Value
from ..exporter.ops import Add, HardSwish, LayerNorm, MatMul, Mul, Sub
from .arithmetic import STEP, SUM_RATIOS, Reals, add_is_safe, mul_is_safe, nudged, sub_is_safe, unary_margin
from .edited import quoted, unsafe_scales
from .forms import MOST_EXACT, STRICT, Decision, Form, data, own_decision
from .groups import Group
from .means import cells_of_mean, untied_scales
from .observe import Range
from .plan import NodePlan, Plan, ValuePlan
from .strict import SCALE_BITS, matmul_is_safe, product_is_safe, safe_for_matmul, short_above
from .sums import Scales, balanced

TABLE_MARGIN = 5e-4
"""Steps. float32 functions of the runtimes are off by 1e-6 of their result at most, which is below 255 steps."""

ROUNDS = 64
"""Passes over all checks before a node that cannot be settled is left float."""

MOST_PRODUCT = 128.0
"""Steps of the result that one step of a product is at most: kernels are made for up to 255."""

MOST_RAISED = 1.03
"""Of the scale that hard-swish reads: what a faster kernel may cost in resolution."""


class Unsettled(Exception):
    """No scale of the output's group keeps a node from ties."""

    def __init__(self, node: Node) -> None:
        super().__init__(node.name)
        self.node = node


def solve(
    graph: Graph,
    decisions: Mapping[Node, Decision],
    ranges: Mapping[str, Range],
    scheme: str,
    io: str = "float32",
    short: Collection[str] = (),
) -> Plan:
    """The plan for a canonical graph.

    ranges   {value name: range} of every value that `coded_values` lists and that is no constant
    io       the dtype of inputs and outputs (plan.py)
    short    names of values whose scales have 16 significant bits
    raises   Unsettled
    """
    shared = {node.name for node in graph.nodes if scheme == STRICT and isinstance(node.op, Add | Sub)}
    while True:
        try:
            return _solved(graph, decisions, ranges, scheme, io, shared, short)
        except Unsettled as unsettled:
            if not isinstance(unsettled.node.op, Add | Sub) or unsettled.node.name in shared:
                raise
            shared.add(unsettled.node.name)


def _solved(
    graph: Graph,
    decisions: Mapping[Node, Decision],
    ranges: Mapping[str, Range],
    scheme: str,
    io: str,
    shared: Collection[str],
    short: Collection[str],
) -> Plan:
    """``shared``: the sums whose operands have one scale and zero point."""
    groups = _groups(coded_values(graph, decisions, io), graph, decisions, ranges, shared)
    for name, group in groups.items():
        group.short |= scheme == STRICT or name in short
    for group in {id(group): group for group in groups.values()}.values():
        group.settle()
    for node in graph.nodes:
        if decisions[node].form in (Form.INTEGER, Form.EXACT) and isinstance(node.op, Add | Sub | Mul):
            groups[node.output.name].raise_to(_least_scale(node, groups))
    if scheme != STRICT:
        _let_hard_swish_be_a_product(graph, decisions, groups)
    checks = [(node, check) for node in graph.nodes if (check := _check(node, decisions[node].form, groups, scheme))]
    for _ in range(ROUNDS):
        mended = [_mend(node, check, groups) for node, check in checks]
        if not any(mended):
            break
    else:
        for node, check in checks:
            if not check():
                raise Unsettled(node)
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
    groups = _planned_groups(graph, plan)
    _check_short(plan, groups)
    checks: list[tuple[Node, Callable[[], bool]]] = []
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
        known = all(v.name in groups for v in _coded(node))
        check = _check(node, planned.form, groups, plan.scheme) if planned and known else None
        checks += [(node, check)] if check is not None else []
    wrong = next(((node, check) for node, check in checks if not check()), None)
    if wrong is not None:
        node, check = wrong
        bound = [check, *_bound_with(node, groups, checks)]
        raise unsafe_scales(node, groups, lambda: all(holds() for holds in bound))


def _planned_groups(graph: Graph, plan: Plan) -> dict[str, Group]:
    """What the plan says of values; those that a move ties together are one group, unless the plan parts them."""
    groups = {
        name: Group({name: (value.low, value.high)}, quantization=value.quantization)
        for name, value in plan.values.items()
    }
    for node in graph.nodes:
        planned = plan.nodes.get(node.name)
        if planned and planned.form is Form.MOVES:
            values = [value for value in _coded(node) if value.name in groups]
            if len({groups[value.name].quantization for value in values}) == 1:
                _join(groups, values)
    return groups


def _bound_with(
    node: Node, groups: Mapping[str, Group], checks: Iterable[tuple[Node, Callable[[], bool]]]
) -> list[Callable[[], bool]]:
    """The checks, passed so far, of other nodes that have groups in common with this one."""
    ours = {id(groups[value.name]) for value in _coded(node)}
    others = ((other, check) for other, check in checks if other is not node)
    return [check for other, check in others if ours & {id(groups[v.name]) for v in _coded(other)} and check()]


def _check_short(plan: Plan, groups: Mapping[str, Group]) -> None:
    """UsageError TP052 for a scale that `strict` kernels would not dequantize exactly."""
    for name, value in plan.values.items() if plan.scheme == STRICT else ():
        scale = value.quantization.scale
        if short_above(scale) != scale:
            raise UsageError(
                "TP052",
                f'the plan\'s scale of "{name}", {scale!r}, has more than {SCALE_BITS} significant bits: kernels '
                f"would dequantize it in different ways, which {STRICT} rules out",
                help=f"take {short_above(scale)!r} for {quoted(groups[name])}",
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
    values: Iterable[Value],
    graph: Graph,
    decisions: Mapping[Node, Decision],
    ranges: Mapping[str, Range],
    shared: Collection[str],
) -> dict[str, Group]:
    groups = {value.name: Group({value.name: _range(value, ranges)}) for value in values}
    for node in graph.nodes:
        form = decisions[node].form
        if form is Form.MOVES:
            _join(groups, [*coded_operands(node), node.output])
        elif form is Form.INTEGER and node.name in shared:
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


def _join(groups: dict[str, Group], values: list[Value] | tuple[Value, ...]) -> None:
    first = groups[values[0].name]
    for value in values[1:]:
        other = groups[value.name]
        if other is not first:
            first.members |= other.members
            for name in other.members:
                groups[name] = first


def _least_scale(node: Node, groups: Mapping[str, Group]) -> float:
    """The finest scale of the result that kernels are made for; finer ones are asked for by results near 0 alone."""
    a, b = (groups[value.name].quantization.scale for value in node.inputs)
    return a * b / MOST_PRODUCT if isinstance(node.op, Mul) else max(a, b) / SUM_RATIOS[1]


def _check(node: Node, form: Form, groups: Mapping[str, Group], scheme: str) -> Callable[[], bool] | None:
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
    return lambda: safe(a.quantization, b.quantization, out.quantization)


def _mend(node: Node, check: Callable[[], bool], groups: Mapping[str, Group]) -> bool:
    """Raises the output's scale, or where that is bound an operand's, until the node is safe; True when it had to."""
    if check():
        return False
    if all(value.name in groups for value in node.inputs):  # no constant beside codes: that is a table
        _raise_to_whole(node, groups)
        _raise_to_odd(node, groups)
        if check() or _balance(node, check, groups):
            return True
    for value in (node.output, *coded_operands(node)):
        group = groups[value.name]
        if group.power_of_two:
            continue
        before = group.quantization

        def safe(scale: float, group: Group = group) -> bool:
            group.take(scale)
            return check()

        if nudged(before.scale * (1 + STEP), safe) is not None:
            return True
        group.quantization = before
    raise Unsettled(node)


def _let_hard_swish_be_a_product(graph: Graph, decisions: Mapping[Node, Decision], groups: Mapping[str, Group]) -> None:
    """Raises what hard-swish reads to a whole number of steps to 3: passes/hard_swish_as_product.py."""
    for node in graph.nodes:
        if decisions[node].form is Form.TABLE and isinstance(node.op, HardSwish):
            group = groups[node.inputs[0].name]
            scale = group.quantization.scale
            steps = max(math.floor(3 / scale * (1 + 1e-7)), 1)
            if 3 / steps <= scale * MOST_RAISED and not group.power_of_two:
                group.raise_to(float(np.float32(3 / steps)))


def _untie_means(
    graph: Graph,
    decisions: Mapping[Node, Decision],
    groups: Mapping[str, Group],
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


def _raise_to_whole(node: Node, groups: Mapping[str, Group]) -> None:
    """Where a sum and operands of it need powers of two, one step of these is a whole number of the sum's: no tie."""
    out = groups[node.output.name]
    if isinstance(node.op, Add | Sub) and out.power_of_two:
        out.raise_to(_least_scale(node, groups))
        for value in node.inputs:
            if groups[value.name].power_of_two:
                groups[value.name].raise_to(out.quantization.scale)


def _balance(node: Node, check: Callable[[], bool], groups: Mapping[str, Group]) -> bool:
    """Raises the scales of a sum and its operands to small multiples of one unit; whether there are any."""
    bound = [groups[value.name] for value in (*node.inputs, node.output)]
    if not isinstance(node.op, Add | Sub) or bound[0] is bound[1]:
        return False
    before = [group.quantization for group in bound]

    def safe(scales: Scales) -> bool:
        for group, scale in zip(bound, scales, strict=True):
            group.quantization = Quantization(scale, group.quantization.zero_point)
        alike = all(group.quantization.scale == scale for group, scale in zip(bound, scales, strict=True))
        return alike and check()

    wanted = before[0].scale, before[1].scale, before[2].scale
    if balanced(wanted, [group.power_of_two for group in bound], safe) is not None:
        return True
    for group, quantization in zip(bound, before, strict=True):
        group.quantization = quantization
    raise Unsettled(node)


def _raise_to_odd(node: Node, groups: Mapping[str, Group]) -> None:
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
