"""From a float graph and samples to a quantized graph: scheme → calibrate → plan → apply."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..exporter.errors import UsageError
from ..exporter.graph import Array, Graph, Quantization, Sample
from ..exporter.ops.quantized import HIGHEST, LOWEST
from .apply import apply
from .calibrate import Calibration, batches_of, observe
from .canonical import canonical
from .forms import decide
from .observe import OBSERVERS
from .plan import Plan
from .solve import Unsettled, coded_values, solve

SCHEMES = ("int8",)


def quantize(
    graph: Graph,
    scheme: str = "int8",
    *,
    calibration: Calibration | None = None,
    samples: int | None = None,
    observer: str = "minmax",
    keep_float: str | Sequence[str] = (),
    plan: Plan | None = None,
    io: str = "float32",
) -> Graph:
    """A quantized copy of a float graph.

    scheme       "int8": weights and activations in 8 bits, the same integers on every port
    calibration  real samples of the model's inputs, preprocessed as the model takes them
    samples      take at most so many of them; default: all
    observer     how ranges are chosen: minmax, moving-average, percentile, mse, entropy
    keep_float   patterns of nodes or layers that stay float: ``"head*"``
    plan         follow this plan; nothing is calibrated
    io           "float32": inputs and outputs stay as they are; "int8": those that are codes inside are codes outside
    raises       UsageError for a scheme, an observer or samples that do not fit
    """
    if io not in ("float32", "int8"):
        raise UsageError("TP050", f"io {io!r} is not known", help='io="float32" or io="int8"')
    _refuse_quantized(graph)
    if plan is None:
        plan = make_plan(
            graph, scheme, calibration=calibration, samples=samples, observer=observer, keep_float=keep_float
        )
    quantized = apply(canonical(graph), plan, coded_io=io == "int8")
    quantized.metadata["quantization"] = {"scheme": plan.scheme}
    quantized.samples = [_answered(quantized, sample) for sample in graph.samples]
    return quantized


def make_plan(
    graph: Graph,
    scheme: str = "int8",
    *,
    calibration: Calibration | None = None,
    samples: int | None = None,
    observer: str = "minmax",
    keep_float: str | Sequence[str] = (),
) -> Plan:
    """The plan that `quantize` would follow; see there."""
    if scheme not in SCHEMES:
        raise UsageError("TP050", f"scheme {scheme!r} is not known", help=f"schemes: {', '.join(SCHEMES)}")
    if observer not in OBSERVERS:
        raise UsageError("TP050", f"observer {observer!r} is not known", help=f"observers: {', '.join(OBSERVERS)}")
    if calibration is None:
        raise UsageError(
            "TP051",
            f"scheme {scheme} needs samples to see which numbers occur",
            help="calibration={input name: array of some hundred real samples}",
        )
    _refuse_quantized(graph)
    prepared = canonical(graph)
    patterns = [keep_float] if isinstance(keep_float, str) else list(keep_float)
    seen = None
    refused: dict[str, str] = {}
    while True:
        decisions = decide(prepared, patterns, refused)
        coded = [value for value in coded_values(prepared, decisions) if not value.is_constant]
        if seen is None:
            seen = observe(prepared, coded, batches_of(prepared, calibration, samples))
        try:
            return solve(prepared, decisions, {v.name: seen[v.name].range(observer) for v in coded}, scheme)
        except Unsettled as unsettled:
            refused[unsettled.node.name] = "no scale keeps its results from ties"


def _refuse_quantized(graph: Graph) -> None:
    coded = next((v for n in graph.nodes for v in (*n.inputs, *n.outputs) if v.quantization), None)
    if coded is not None:
        raise UsageError(
            "TP054", f'the graph is quantized already: "{coded.name}" holds codes', help="quantize the float graph"
        )


def _answered(quantized: Graph, sample: Sample) -> Sample:
    """The sample with what the quantized graph's integers give."""
    if any(value.type.quantization is not None for value in quantized.inputs):
        inputs = {v.name: _as_codes(sample.inputs[v.name], v.type.quantization) for v in quantized.inputs}
        return Sample(inputs, quantized.run(inputs), {})
    return Sample(dict(sample.stored_inputs), quantized.run(sample.inputs), dict(sample.recipes))


def _as_codes(array: Array, to: Quantization | None) -> Array:
    if to is None:
        return array
    steps = np.rint(array.astype(np.float32) * (np.float32(1) / np.float32(to.scale))) + to.zero_point
    codes: Array = np.clip(steps, LOWEST, HIGHEST).astype(np.int8)
    return codes
