"""A plan as rows of a table: what becomes of each node, and why the float ones stay float."""

from __future__ import annotations

from dataclasses import dataclass

from ..exporter.graph import Graph, Quantization
from .canonical import canonical
from .forms import Form
from .plan import Plan


@dataclass(frozen=True)
class PlanRow:
    """One node, or an input that is held as codes (its form is "input").

    quantization   of its result; None where that is float
    range          what calibration saw of it
    reason         why it stays float
    """

    node: str
    op: str
    form: str
    quantization: Quantization | None
    range: tuple[float, float] | None
    reason: str = ""


def plan_rows(graph: Graph, plan: Plan) -> list[PlanRow]:
    """The rows in the order of the graph; a node of the graph that the plan does not know has the form "absent"."""
    prepared = canonical(graph)
    rows = [_row(plan, value.name, value.name, "", "input") for value in prepared.inputs if value.name in plan.values]
    for node in prepared.nodes:
        planned = plan.nodes.get(node.name)
        form = planned.form.value if planned else "absent"
        reason = planned.reason or "the plan was edited so" if planned and planned.form is Form.FLOAT else ""
        rows.append(_row(plan, node.outputs[0].name, node.name, node.op.label(), form, reason))
    return rows


def _row(plan: Plan, value: str, node: str, op: str, form: str, reason: str = "") -> PlanRow:
    known = plan.values.get(value)
    if known is None:
        return PlanRow(node, op, form, None, None, reason)
    return PlanRow(node, op, form, known.quantization, (known.low, known.high), reason)
