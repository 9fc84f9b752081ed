"""The plan: every decision of a quantization as data, to be printed, saved, compared, edited and applied again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..exporter.errors import FormatError, UsageError
from ..exporter.graph import Quantization
from ..exporter.graph.atomic import atomic_write
from .forms import STRICT, Form

VERSION = 1

PLANNED = ("int8", STRICT)
"""The schemes that are calibrated, and that follow a plan."""

IO = ("float32", "int8", "uint8")
"""What the inputs and outputs of a quantized graph may be."""


@dataclass(frozen=True)
class NodePlan:
    """One node: its form, and why it stays float."""

    form: Form
    reason: str = ""


@dataclass(frozen=True)
class ValuePlan:
    """One value that is held as codes: what they stand for, and the range that calibration saw."""

    quantization: Quantization
    low: float
    high: float


@dataclass
class Plan:
    """What `apply` follows.

    scheme   the scheme it was made for
    io       "float32", or "int8" / "uint8": what is held as codes inside is codes at the inputs and outputs, too
    equalized   neighbouring layers were equalised before (recover/equalize.py)
    nodes    {node name: form} of the canonical graph (canonical.py), in its order
    values   {value name: quantization} of every value that is held as codes
    notices  what calibration found suspicious, a sentence each
    sensitivity   what each layer does to the outputs when it alone is quantized, where that was needed to bound
                  the loss of accuracy
    accuracy      what was measured then: of which output, on how many samples, in float32, with every layer quantized,
                  and by this plan (bounded.py)
    input_bits    8, or 12: float inputs of layers are rounded to two codes (fine_inputs.py)
    """

    scheme: str
    nodes: dict[str, NodePlan] = field(default_factory=dict)
    values: dict[str, ValuePlan] = field(default_factory=dict)
    io: str = "float32"
    notices: list[str] = field(default_factory=list)
    equalized: bool = False
    sensitivity: list[dict[str, Any]] = field(default_factory=list)
    accuracy: dict[str, Any] = field(default_factory=dict)
    input_bits: int = 8

    def counts(self) -> dict[str, int]:
        """{form: how many nodes}"""
        counted = Counter(node.form for node in self.nodes.values())
        return {form.value: counted[form] for form in Form if counted[form]}

    def reasons(self) -> dict[str, list[str]]:
        """{why: names of the nodes that stay float for it}"""
        found: dict[str, list[str]] = {}
        for name, node in self.nodes.items():
            if node.form is Form.FLOAT:
                found.setdefault(node.reason or "the plan was edited so", []).append(name)
        return found

    def to_json(self) -> str:
        """The plan as text, one line a node and a value, so that a diff reads well."""
        nodes = [
            {"name": name, "form": plan.form.value} | ({"reason": plan.reason} if plan.reason else {})
            for name, plan in self.nodes.items()
        ]
        values = [
            {
                "name": name,
                "scale": plan.quantization.scale,
                "zero_point": plan.quantization.zero_point,
                "range": [plan.low, plan.high],
            }
            for name, plan in self.values.items()
        ]
        about: dict[str, Any] = {"format": "triport-plan", "version": VERSION, "scheme": self.scheme, "io": self.io}
        about |= {"equalized": self.equalized, "notices": self.notices}
        about |= {"input_bits": self.input_bits} if self.input_bits != 8 else {}
        about |= {"accuracy": self.accuracy} if self.accuracy else {}
        about |= {"sensitivity": self.sensitivity} if self.sensitivity else {}
        head = json.dumps(about, ensure_ascii=False)[:-1]
        return f'{head},\n "nodes": [{_lines(nodes)}],\n "values": [{_lines(values)}]}}\n'

    def save(self, path: str | Path) -> None:
        """Writes the plan; EnvironmentError_ TP341 where that cannot be."""
        with atomic_write(path) as file:
            file.write(self.to_json().encode())

    @staticmethod
    def load(path: str | Path) -> Plan:
        """The plan in a file; UsageError TP001 when there is none, FormatError TP053 names what is wrong with it."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise FormatError("TP053", f"{path} is not a plan of triport: it is no text") from error
        except OSError as error:
            raise UsageError("TP001", f"the plan {path} cannot be read", because=error.strerror) from error
        return Plan.from_json(text, str(path))

    @staticmethod
    def from_json(text: str, where: str = "plan") -> Plan:
        """The plan that a text holds; FormatError TP053 names what is wrong with it (read_plan.py)."""
        from .read_plan import read_plan

        return read_plan(text, where)

    def difference(self, other: Plan) -> Iterator[str]:
        """What ``other`` does otherwise, a line for each node and value."""
        if self.scheme != other.scheme:
            yield f"scheme: {self.scheme} → {other.scheme}"
        if self.io != other.io:
            yield f"io: {self.io} → {other.io}"
        if self.input_bits != other.input_bits:
            yield f"input bits: {self.input_bits} → {other.input_bits}"
        for name in dict.fromkeys([*self.nodes, *other.nodes]):
            a, b = self.nodes.get(name), other.nodes.get(name)
            if (a and a.form) != (b and b.form):
                yield f"node {name}: {a.form.value if a else 'absent'} → {b.form.value if b else 'absent'}"
        for name in dict.fromkeys([*self.values, *other.values]):
            x, y = self.values.get(name), other.values.get(name)
            if (x and x.quantization) != (y and y.quantization):
                yield f"value {name}: {x.quantization if x else 'absent'} → {y.quantization if y else 'absent'}"


def _lines(entries: list[dict[str, Any]]) -> str:
    return "".join(f"\n  {json.dumps(entry)}{',' if i + 1 < len(entries) else ''}" for i, entry in enumerate(entries))
