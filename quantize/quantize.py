"""From a float graph and samples to a quantized graph: scheme → calibrate → plan → apply."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..exporter.errors import EnvironmentError_, ModelError, UsageError
from ..exporter.given_model import graph_of
from ..exporter.graph import Array, Graph, Sample
from ..exporter.graph.stored import stored_forms
from ..exporter.passes.exact_values import exact_values
from ..exporter.wording import with_article
from .apply import apply
from .bounded import bounded
from .calibrate import Calibration, batches_of, observe
from .canonical import canonical
from .checks import (
    check_filters,
    check_patterns,
    inputs_seen,
    notices_of_border,
    notices_of_forms,
    notices_of_inputs,
    notices_of_outputs,
    notices_of_values,
    notices_of_weights,
    watched,
)
from .engine import Engine, as_codes
from .fine_inputs import check_fine
from .forms import decide
from .labelled import Labelled, accuracy, labelled
from .options import SCHEMES, check_bound, check_choices, check_one_of
from .plan import IO, Plan
from .recover import check_methods, equalize, filters_with
from .settle import Calibrated
from .solve import check_plan, coded_values
from .store_weights import BITS, check_options, store_weights
from .writer import WeightRule, weight_rule

if TYPE_CHECKING:
    from torch.nn import Module

RANKING_BATCHES = 8
"""Batches of calibration data by which layers are ranked when accuracy is bounded."""


def quantize(
    model: Graph | Module | str | Path,
    scheme: str = "int8",
    *,
    calibration: Calibration | None = None,
    samples: int | None = None,
    observer: str = "minmax",
    keep_float: str | Sequence[str] = (),
    recover: str | Sequence[str] = (),
    plan: Plan | None = None,
    io: str | None = None,
    validation: Labelled | None = None,
    max_drop: float | None = None,
    weights: str = "full",
    block: int | None = None,
    input_bits: int = 8,
) -> Graph:
    """A quantized copy of a float graph, of a triport model, or of that in a .triport or .pt2 file.

    scheme       "int8": weights and activations in 8 bits, the same integers on every port; "int8-strict": also in
                 LiteRT without XNNPACK, with weights of 6 bits; "float16", "int8-weights" and "int4-weights": weights
                 alone, activations in float32; their options are keep_float, block and, of the latter two, recover
    calibration  real samples of the model's inputs, preprocessed as the model takes them: arrays, an iterable of them,
                 or the path of a file or folder
    samples      take at most so many of them; default: all
    observer     how ranges are chosen: minmax, moving-average, percentile, mse, entropy
    keep_float   patterns of nodes or layers that stay float: ``"head*"``
    recover      what to do against a loss of accuracy: "equalize", "bias", "affine", "adaround" or "gptq", or
                 several; for weights alone one of the latter two
    plan         follow this plan; nothing is calibrated
    io           "float32": inputs and outputs stay as they are; "int8" or "uint8": those that are codes inside are
                 codes outside. Default: what the plan says, else float32
    validation   (samples, labels) by which accuracy is measured: named arrays, or the array for the only input, and
                 integers, one a sample; only with max_drop
    max_drop     points of accuracy that may be lost at most; the layers that harm most stay float until it holds
    weights      "full": all codes; "paired": no two neighbours add up to more than 128, a little coarser and several
                 times faster in ONNX Runtime on x86
    block        "int4-weights": weights in a row that share a step (16 … 256, default 64); 0: all of a filter
    input_bits   8, or 12: float inputs that convolutions and linear layers read are rounded to two codes instead of one
    raises       UsageError for a scheme, an observer or samples that do not fit; CheckError when ``max_drop`` cannot
                 be kept
    """
    check_one_of("scheme", scheme, SCHEMES)
    check_choices(
        plan.scheme if plan is not None and scheme not in BITS else scheme,
        observer=observer,
        weights=weights,
        input_bits=input_bits,
        io=(io or "float32") if plan is None else "float32",
    )
    graph = graph_of(model)
    coded: dict[str, object] = {
        "calibration": calibration,
        "samples": samples,
        "plan": plan,
    }
    coded |= {"io": io if io != "float32" else None, "validation": validation, "max_drop": max_drop}
    coded |= {"observer": observer if observer != "minmax" else None, "weights": weights if weights != "full" else None}
    coded |= {"input_bits": input_bits if input_bits != 8 else None}
    methods = [recover] if isinstance(recover, str) else list(recover)
    check_methods(methods, plan.scheme if plan is not None and scheme not in BITS else scheme)
    check_options(scheme, block, methods, coded)
    _refuse_quantized(graph)
    if scheme in BITS:
        return store_weights(
            graph,
            scheme,
            block=block,
            keep_float=keep_float,
            recover=methods,
            calibration=calibration,
            samples=samples,
        )
    check_bound(max_drop, validation, planned=plan is not None)
    if plan is None:
        plan = make_plan(
            graph,
            scheme,
            calibration=calibration,
            samples=samples,
            observer=observer,
            keep_float=keep_float,
            io=io or "float32",
            equalized="equalize" in methods,
            validation=validation,
            max_drop=max_drop,
            weights=weights,
            input_bits=input_bits,
        )
    else:
        if input_bits not in (8, plan.input_bits):
            raise UsageError(
                "TP005",
                f"input_bits {input_bits} would be ignored: the plan decides this already, with {plan.input_bits}",
                help="leave out input_bits, or make the plan with it: make_plan(model, input_bits=12, calibration=…)",
            )
        check_one_of("io", io or plan.io, IO)
        plan = replace(plan, io=io or plan.io)
        check_choices(plan.scheme, io=plan.io, input_bits=plan.input_bits)
        check_plan(_prepared(graph, plan.equalized), plan)
    prepared = _prepared(graph, plan.equalized)
    filters = weight_rule(plan.scheme, weights)
    if set(methods) - {"equalize"}:
        data = _twice(f"recover {', '.join(methods)}", calibration)
        filters, idle = filters_with(methods, prepared, plan, lambda: batches_of(prepared, data, samples), filters)
        plan = replace(plan, notices=[*plan.notices, *idle])
    return finished(graph, prepared, plan, filters, paired=weights == "paired")


def finished(
    original: Graph, prepared: Graph, plan: Plan, filters: WeightRule | None = None, *, paired: bool = False
) -> Graph:
    """The quantized graph with what it says of itself: the scheme, what stays float and why, and its own answers.

    original   the float graph, whose golden inputs are answered anew
    prepared   its canonical form, which the plan is for
    """
    quantized = apply(prepared, plan, filters=filters, paired=paired)
    quantized.metadata["quantization"] = quantized.metadata.get("quantization", {}) | {
        "scheme": plan.scheme,
        "io": plan.io,
        "nodes": plan.counts(),
        "float": [[reason, names] for reason, names in plan.reasons().items()],
    }
    if notices := [*plan.notices, *notices_of_outputs(quantized, plan)]:
        quantized.metadata["notices"] = [*quantized.notices, *notices]
    run = _runner(quantized) if original.samples else quantized.run
    quantized.samples = [_answered(quantized, run, sample) for sample in original.samples]
    return quantized


def make_plan(
    model: Graph | Module | str | Path,
    scheme: str = "int8",
    *,
    calibration: Calibration | None = None,
    samples: int | None = None,
    observer: str = "minmax",
    keep_float: str | Sequence[str] = (),
    io: str = "float32",
    equalized: bool = False,
    validation: Labelled | None = None,
    max_drop: float | None = None,
    weights: str = "full",
    input_bits: int = 8,
) -> Plan:
    """The plan that `quantize` would follow; see there.

    equalized   channels of neighbouring layers are equalised first (recover="equalize")
    weights     those that ``max_drop`` is measured with
    """
    check_choices(scheme, observer=observer, io=io, weights=weights, input_bits=input_bits)
    check_bound(max_drop, validation)
    graph = graph_of(model)
    calibrated = calibrated_for(
        graph,
        scheme,
        calibration=calibration,
        samples=samples,
        observer=observer,
        keep_float=keep_float,
        io=io,
        equalized=equalized,
        input_bits=input_bits,
    )
    if max_drop is None or validation is None:
        plan = calibrated.plan()
    else:
        data = _twice("max_drop", calibration)
        plan = _within(calibrated, graph, data, validation, max_drop, weight_rule(scheme, weights))
    plan.equalized = equalized
    plan.notices = [
        *calibrated.notices,
        *notices_of_values(plan, calibrated.seen),
        *notices_of_border(calibrated.graph, plan),
        *notices_of_forms(plan),
    ]
    return plan


def calibrated_for(
    graph: Graph,
    scheme: str,
    *,
    calibration: Calibration | None,
    samples: int | None = None,
    observer: str = "minmax",
    keep_float: str | Sequence[str] = (),
    io: str = "float32",
    equalized: bool = False,
    input_bits: int = 8,
) -> Calibrated:
    """The canonical graph and what calibration saw of its values; arguments as for `make_plan`."""
    if scheme in BITS:
        raise UsageError("TP050", f"scheme {scheme} follows no plan", help=f'tp.quantize(graph, "{scheme}")')
    check_choices(scheme, observer=observer, io=io)
    if calibration is None:
        raise UsageError(
            "TP051",
            f"scheme {scheme} needs samples to see which numbers occur",
            help="calibration={input name: array of some hundred real samples}; --calibration FILE on the command line",
        )
    _refuse_quantized(graph)
    prepared = _prepared(graph, equalized)
    check_filters(prepared)
    patterns = [keep_float] if isinstance(keep_float, str) else list(keep_float)
    looked_at = inputs_seen(prepared)
    decisions = decide(prepared, patterns, coded_inputs=io != "float32", scheme=scheme)
    check_patterns(prepared, decisions, patterns)
    if input_bits != 8:
        check_fine(prepared, {node.name: decision.form for node, decision in decisions.items()})
    coded = [value for value in coded_values(prepared, decisions, io) if not value.is_constant]
    seen = observe(prepared, coded, watched(batches_of(graph, calibration, samples), looked_at))
    notices = (*notices_of_inputs(graph, looked_at), *notices_of_weights(decisions))
    return Calibrated(prepared, scheme, observer, io, patterns, seen, notices, input_bits)


def _within(
    calibrated: Calibrated,
    graph: Graph,
    calibration: Calibration,
    validation: Labelled,
    max_drop: float,
    filters: WeightRule,
) -> Plan:
    """The plan that loses at most ``max_drop`` points; it says what was measured."""
    inputs, labels = labelled(graph, validation)
    batches = list(itertools.islice(batches_of(graph, calibration), RANKING_BATCHES))
    found = bounded(calibrated, lambda tried: accuracy(tried, inputs, labels), batches, max_drop, filters)
    found.plan.sensitivity = [one.to_json() for one in found.sensitivity]
    found.plan.accuracy = {
        "output": next(iter(graph.outputs)),
        "samples": len(labels),
        "float32": found.base,
        "all_quantized": found.base - found.drop_of_all / 100,
        "as_planned": found.base - found.drop / 100,
        "spared": found.spared,
    }
    return found.plan


def _prepared(graph: Graph, equalized: bool) -> Graph:
    prepared = canonical(graph)
    if equalized:
        equalize(prepared)
    return prepared


def _twice(what: str, calibration: Calibration | None) -> Calibration:
    """The calibration data, which are read a second time; UsageError for none, and for an iterator, which is at its end
    by now."""
    if calibration is None:
        raise UsageError(
            "TP051",
            f"{what} needs calibration data, the samples that layers are looked at with",
            help="calibration={input name: array of some hundred samples}; --calibration FILE on the command line",
        )
    if isinstance(calibration, Iterator):
        raise UsageError(
            "TP051",
            f"{what} reads the calibration data a second time, "
            f"and {with_article(type(calibration).__name__)} is at its end by then",
            help="pass arrays, a list, or an object whose __iter__ begins anew",
        )
    return calibration


def _refuse_quantized(graph: Graph) -> None:
    coded = next((v for n in graph.nodes for v in (*n.inputs, *n.outputs) if v.quantization), None)
    if coded is not None:
        raise UsageError(
            "TP054", f'the graph is quantized already: "{coded.name}" holds codes', help="quantize the float graph"
        )
    if stored_forms(graph.metadata):
        raise UsageError(
            "TP054", "the graph is quantized already: its weights are rounded", help="quantize the float graph"
        )


def _runner(quantized: Graph) -> Callable[[Mapping[str, Array]], dict[str, Array]]:
    """What answers the golden samples.

    Where all outputs are the same bits everywhere any runtime does, and ONNX Runtime is there sooner than torch.
    """
    exact = exact_values(quantized)
    if all(value in exact for value in quantized.outputs.values()):
        try:
            return Engine(quantized).run
        except (EnvironmentError_, ModelError):
            return quantized.run
    return quantized.run


def _answered(quantized: Graph, run: Callable[[Mapping[str, Array]], dict[str, Array]], sample: Sample) -> Sample:
    """The sample with what the quantized graph's integers give."""
    if any(value.type.quantization is not None for value in quantized.inputs):
        inputs = {v.name: as_codes(sample.inputs[v.name], v.type) for v in quantized.inputs}
        return Sample(inputs, run(inputs), {})
    return Sample(dict(sample.stored_inputs), run(sample.inputs), dict(sample.recipes))
