"""Which node differs first? A port's inner values, compared one by one with the reference of the same prepared graph.

The file itself is asked first where its format takes inner values as further outputs: ONNX and TFLite, in the runtime
in which it differed. What a file does not show (the browser's, a value inside a kernel) is found by writing the graph
once more with every inner value as an output.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..exporter.errors import TriportError
from ..exporter.graph import Array, DType, Graph, Node, Value
from ..exporter.passes.exact_values import exact_values
from ..targets.target import Target
from .parity import fit_inputs, judge
from .probes import probe_onnx, probe_tflite
from .runners import Runner
from .runners.reference import ReferenceSession
from .samples import Case
from .tolerance import EXACT, tolerance_for
from .truth import Spread, truth_value

Values = Mapping[str, Array]


@dataclass(frozen=True)
class Divergence:
    """The first node whose output differs.

    node, layer, at   its name, the user's layer and file:line
    seen              how the inner values were looked at
    """

    node: str
    layer: str
    at: str
    case: str
    max_abs: float
    bound: float
    problem: str
    seen: str

    def __str__(self) -> str:
        where = ", ".join(part for part in (self.at, f'layer "{self.layer}"' if self.layer else "") if part)
        return f"{self.node}{f' ({where})' if where else ''} differs first: {self.problem}"


def first_divergence(
    prepared: Graph, target: Target, runner: Runner, artefact: Path, inputs: Mapping[str, Array], case: str = ""
) -> Divergence | None:
    """The first node of a port that differs from the reference; None when no inner value does.

    prepared   the graph that the artefact was written from
    inputs     a case on which the port's outputs differ
    """
    wide, narrow = (ReferenceSession(prepared, dtype).all_values(inputs) for dtype in (DType.FLOAT64, None))
    exact = exact_values(prepared)
    for seen, look in _ways(prepared, target, runner, artefact):
        try:
            values = look(inputs)
        except TriportError:  # a runtime that shows no inner values of this file; the next way may
            continue
        for node in prepared.nodes:
            divergence = _compare(node, values, wide, narrow, case, seen, exact)
            if divergence:
                return divergence
    return None


def _ways(
    prepared: Graph, target: Target, runner: Runner, artefact: Path
) -> Iterator[tuple[str, Callable[[Values], Values]]]:
    if runner.target == "onnx":
        yield "the file, inner values added as outputs", lambda inputs: probe_onnx(artefact, prepared, runner, inputs)
    if runner.target == "tflite":
        yield "the file, inner values added as outputs", lambda inputs: probe_tflite(artefact, runner, inputs)
    yield (
        "the graph written again, inner values as outputs",
        lambda inputs: _probe_again(prepared, target, runner, inputs),
    )


def _probe_again(prepared: Graph, target: Target, runner: Runner, inputs: Values) -> Values:
    """Writes the graph with every inner value as an output and runs that."""
    probe = prepared.copy()
    for node in probe.nodes:
        for value in node.outputs:
            if not probe.is_output(value):
                probe.set_output(value.name, value)
    folder = Path(tempfile.mkdtemp(prefix="triport-probe-"))
    try:
        target.write(probe, folder / target.artefact, {})
        with runner.load(folder / target.artefact) as session:
            return session.run(fit_inputs(session, inputs))
    finally:
        shutil.rmtree(folder)


def _compare(
    node: Node, values: Values, wide: Values, narrow: Values, case: str, seen: str, exact: frozenset[Value]
) -> Divergence | None:
    for value in node.outputs:
        if value.name not in values:
            continue
        truth, own = wide[value.name], narrow[value.name]
        spread = Spread()
        spread.add(truth.astype(np.float64), own.astype(np.float64))
        limit = spread.limit(value.type.dtype, EXACT if value in exact else tolerance_for(value.type.dtype))
        run = Case(case, {}, {value.name: truth_value(truth, own)})
        check = judge(run, value.name, values[value.name], limit)
        if not check.passed:
            source = node.source
            return Divergence(
                node.describe(), source.layer, source.location, case, check.max_abs, limit.bound, check.problem, seen
            )
    return None
