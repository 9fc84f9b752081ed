"""What ports are compared with: the user's own recorded outputs, and the graph's float64 reference.

With torch, every case is judged by the reference in float64, and torch's own float32 run says how exact float32 can be.
Golden cases are judged by the outputs that the user's module gave in eager mode. Without torch, golden cases are all
there is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

from ..exporter.errors import UsageError
from ..exporter.graph import Array, DType, Graph, Source
from ..exporter.passes.exact_values import exact_values
from .runners.reference import ReferenceSession
from .samples import Case, generated_cases, golden_cases
from .tolerance import EXACT, Tolerance, tolerance_for

REFERENCE = "float64 reference"
GOLDEN = "golden samples"


@dataclass(frozen=True)
class Limit:
    """What is allowed for one output, over all cases together.

    dtype           of the output in the graph
    span            largest minus smallest value of the truth
    float32_error   largest |torch float32 − float64 reference|; 0 where torch is not installed
    bound           largest |port − truth| allowed
    golden_bound    the same for golden cases, whose truth is float32 itself
    """

    dtype: DType
    tolerance: Tolerance
    span: float
    float32_error: float
    bound: float
    golden_bound: float


@dataclass(frozen=True)
class NotFinite:
    """NaN or infinity in the reference itself.

    node     the first node that makes it from finite operands
    source   where the user wrote it
    case     the sample that shows it
    """

    node: str
    source: Source
    case: str

    def __str__(self) -> str:
        where = f" ({self.source})" if str(self.source) else ""
        return f"the reference itself gives NaN or infinity on {self.case}: first in {self.node}{where}"


@dataclass(frozen=True)
class Truth:
    """Cases with the outputs to expect, and how far from them a port may be.

    source       `REFERENCE` or `GOLDEN`
    not_finite   where the model itself leaves the finite numbers
    left_out     generated cases that the model itself cannot answer, each with the reason
    """

    source: str
    cases: list[Case]
    limits: dict[str, Limit]
    not_finite: NotFinite | None = None
    left_out: tuple[str, ...] = ()

    def notes(self) -> list[str]:
        """What a report says of the cases."""
        told = [str(self.not_finite)] if self.not_finite else []
        return told + [f"not compared at {case}" for case in self.left_out]


@dataclass
class Spread:
    """Extremes of one output over all cases."""

    low: float = np.inf
    high: float = -np.inf
    error: float = 0.0

    def add(self, truth: npt.NDArray[np.float64], narrow: npt.NDArray[np.float64]) -> None:
        finite = np.isfinite(truth) & np.isfinite(narrow)
        if finite.any():
            self.low = min(self.low, float(truth[finite].min()))
            self.high = max(self.high, float(truth[finite].max()))
            self.error = max(self.error, float(np.abs(truth[finite] - narrow[finite]).max()))

    def limit(self, dtype: DType, tolerance: Tolerance) -> Limit:
        span = max(self.high - self.low, 0.0) if self.low <= self.high else 0.0
        magnitude = max(abs(self.low), abs(self.high)) if self.low <= self.high else 0.0
        bound = tolerance.bound(span, self.error, magnitude)
        golden = bound + (self.error if tolerance.range_share else 0.0)
        return Limit(dtype, tolerance, span, self.error, bound, golden)


_ABOUT_SIZES = re.compile(r"\b(sizes?|shapes?|dimensions?|index)\b", re.IGNORECASE)


def _goes_not_together(error: Exception) -> bool:
    """Whether it says that operands do not go together, as with sizes of which a graph does not say so."""
    if isinstance(error, UsageError):
        return True
    return type(error) is RuntimeError and bool(_ABOUT_SIZES.search(str(error))) and "alloc" not in str(error).lower()


def has_reference() -> bool:
    """Whether torch, which the reference needs, is installed."""
    return find_spec("torch") is not None


def truth_by_reference(graph: Graph, cases: Sequence[Case], tolerances: Mapping[str, Tolerance] | None = None) -> Truth:
    """Runs every case in float64 and in float32.

    cases        with outputs: kept, those are the truth; without: the reference gives them
    tolerances   by output; the others have their dtype's
    """
    wide, narrow = ReferenceSession(graph, DType.FLOAT64), ReferenceSession(graph)
    spreads = {name: Spread() for name in graph.outputs}
    judged: list[Case] = []
    left_out: list[str] = []
    not_finite: NotFinite | None = None
    for case in cases:
        try:
            exact, own = wide.run(case.inputs), narrow.run(case.inputs)
        except (UsageError, RuntimeError) as error:
            if not case.made or not _goes_not_together(error):
                raise
            left_out.append(f"{case.label}: the model fails there: {str(error).splitlines()[0]}")
            continue
        for name, spread in spreads.items():
            spread.add(exact[name].astype(np.float64), own[name].astype(np.float64))
        if not_finite is None and any(map(_not_finite, own.values())):
            not_finite = first_not_finite(graph, case)
        expected = {name: truth_value(exact[name], own[name]) for name in graph.outputs}
        judged.append(Case(case.label, case.inputs, {**expected, **case.outputs}, case.golden))
    return Truth(REFERENCE, judged, _limits(graph, spreads, tolerances), not_finite, tuple(left_out))


def truth_by_golden(graph_types: Mapping[str, DType], cases: Sequence[Case], exact: Collection[str] = ()) -> Truth:
    """Golden cases as they are.

    graph_types   the dtype of each output
    exact         outputs that are the same bits everywhere
    """
    spreads = {name: Spread() for name in graph_types}
    for case in cases:
        for name, spread in spreads.items():
            truth = case.outputs[name].astype(np.float64)
            spread.add(truth, truth)
    limits = {
        name: spreads[name].limit(dtype, EXACT if name in exact else tolerance_for(dtype))
        for name, dtype in graph_types.items()
    }
    return Truth(GOLDEN, list(cases), limits)


def make_truth(graph: Graph, extra: Sequence[Case]) -> Truth | None:
    """What the ports are compared with; None when there is nothing."""
    golden = golden_cases(graph.samples)
    if has_reference():
        return truth_by_reference(graph, [*generated_cases(graph), *golden, *extra])
    if golden:
        types = {name: value.type.dtype for name, value in graph.outputs.items()}
        return truth_by_golden(types, golden, exact_outputs(graph))
    return None


def exact_outputs(graph: Graph) -> frozenset[str]:
    """The outputs that are the same bits in every runtime: what a quantized graph promises of its codes."""
    exact = exact_values(graph)
    return frozenset(name for name, value in graph.outputs.items() if value in exact)


def first_not_finite(graph: Graph, case: Case) -> NotFinite | None:
    """The first node that makes NaN or infinity from finite operands.

    Where there is none (a mask of -inf is a constant of many models), the first that makes NaN from operands without.
    """
    values = ReferenceSession(graph).all_values(case.inputs)
    for broken in (_not_finite, _has_nan):
        for node in graph.nodes:
            operands = [values[v.name] if v.name in values else v.array() for v in node.inputs]
            if any(broken(values[v.name]) for v in node.outputs) and not any(map(broken, operands)):
                return NotFinite(node.describe(), node.source, case.label)
    return None


def _limits(
    graph: Graph, spreads: Mapping[str, Spread], tolerances: Mapping[str, Tolerance] | None
) -> dict[str, Limit]:
    chosen = dict.fromkeys(exact_outputs(graph), EXACT) | dict(tolerances or {})
    return {
        name: spreads[name].limit(value.type.dtype, chosen.get(name) or tolerance_for(value.type.dtype))
        for name, value in graph.outputs.items()
    }


def truth_value(exact: Array, own: Array) -> Array:
    """The float64 values; where torch's float32 leaves the finite numbers, that is what a port must do too."""
    if own.dtype.kind != "f":
        return own
    return np.where(np.isfinite(own), exact, own.astype(np.float64))


def _not_finite(array: Array) -> bool:
    return array.dtype.kind == "f" and not np.isfinite(array).all()


def _has_nan(array: Array) -> bool:
    return array.dtype.kind == "f" and bool(np.isnan(array).any())
