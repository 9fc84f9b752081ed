"""Getting back accuracy that rounding took, layer by layer, without training.

    equalize   channels between two layers share their range
    bias       the mean of each filter's output stays
    affine     mean and scale of each filter's output stay, behind layers that are quantized
    adaround   weights are rounded so that outputs stay, each up or down
    gptq       likewise, one input after the other; those to come make up for what was lost

All of them only choose other numbers: what runs is as exact as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ...exporter.errors import UsageError
from ...exporter.graph import Array, Graph, Node, Quantization
from ...exporter.ops import Conv, Linear
from ..forms import STRICT
from ..plan import Plan
from ..strict import in_steps
from ..weights import Filters
from ..writer import WeightRule, channels_of, cut_to_pairs, paired_filters, rounded_filters, strict_codes, unit_filters
from .adaround import adaround
from .affine import FEWEST, lines
from .bias import unshifted
from .equalize import equalize
from .gptq import gptq
from .layers import look

Floats = npt.NDArray[np.float64]

Rounding = Callable[[Floats, Floats, Array, int, int], Floats]
"""(weights, steps, rows, least, most) → codes; see `gptq`"""

ROUNDINGS: dict[str, Rounding] = {"adaround": adaround, "gptq": gptq}

METHODS = ("equalize", "bias", "affine", *ROUNDINGS)

__all__ = ["METHODS", "ROUNDINGS", "Rounding", "check_methods", "equalize", "filters_with", "rounding_of"]


def check_methods(methods: Sequence[str], scheme: str) -> None:
    """UsageError TP050 for a method that is not known or that the scheme has not, or two of which one would be idle."""
    for method in methods:
        if method not in METHODS:
            raise UsageError(
                "TP050", f"recover {method!r} is not known", help=f"recover is one of: {', '.join(METHODS)}"
            )
    if set(ROUNDINGS) <= set(methods):
        raise UsageError(
            "TP050", f"recover {' and '.join(ROUNDINGS)} both choose every weight", help="take one of the two"
        )
    if scheme == STRICT and "affine" in methods:
        raise UsageError(
            "TP050", f"recover affine chooses scales, which scheme {STRICT} has only powers of two of", help="take bias"
        )
    if {"affine", "bias"} <= set(methods):
        raise UsageError(
            "TP050", "recover bias and affine both choose every bias", help="take affine, which keeps the means, too"
        )


def rounding_of(methods: Sequence[str]) -> Rounding | None:
    """What chooses codes; None where each weight gets the nearest."""
    return next((ROUNDINGS[method] for method in methods if method in ROUNDINGS), None)


def filters_with(
    methods: Sequence[str],
    graph: Graph,
    plan: Plan,
    read: Callable[[], Iterable[Mapping[str, Array]]],
    plain: WeightRule = rounded_filters,
) -> tuple[WeightRule, list[str]]:
    """The rule by which weights become integers, and notices of what had nothing to do.

    graph   canonical, and equalised where that was asked for
    read    gives the calibration data anew
    plain   the rule that chooses scales, and codes where no method does
    """
    rule = _looking(methods, graph, read, plain)
    if "affine" not in methods:
        return rule, []
    found = lines(graph, plan, read(), rule)
    idle = [] if found else [f"recover affine changed nothing: it needs {FEWEST} samples, and layers on codes"]
    return lambda node, of, to: found[node.name] if node.name in found else rule(node, of, to), idle


def _looking(
    methods: Sequence[str],
    graph: Graph,
    read: Callable[[], Iterable[Mapping[str, Array]]],
    plain: WeightRule,
) -> WeightRule:
    """The rule of the methods that look at what layers read in the float graph."""
    rounding = rounding_of(methods)
    if rounding is None and "bias" not in methods:
        return plain
    nodes = [node for node in graph.nodes if isinstance(node.op, Conv | Linear) and node.inputs[1].is_constant]
    choose = unit_filters if plain is strict_codes else plain
    seen = look(graph, [(node, 1) for node in nodes], read(), sampled=rounding is not None)

    def rule(node: Node, of: Quantization, to: Quantization) -> Filters:
        made = choose(node, of, to)
        if rounding is not None:
            made = _rounded_for_outputs(node, made, rounding, seen.rows[node.name, 1])
            if plain is paired_filters and isinstance(node.op, Conv | Linear):
                made = cut_to_pairs(node.op, made, channels_of(node))
        made = unshifted(node, made, of, seen.means[node.name, 1]) if "bias" in methods else made
        return in_steps(made) if plain is strict_codes else made

    return rule


def _rounded_for_outputs(node: Node, made: Filters, rounding: Rounding, rows: Array) -> Filters:
    """The same scales with codes that keep rows · weights."""
    weight = node.inputs[1].array().astype(np.float64).reshape(rows.shape[1], -1, rows.shape[2])
    steps = np.broadcast_to(made.scale.astype(np.float64).reshape(*weight.shape[:2], 1), weight.shape)
    codes = rounding(weight, steps, rows, -made.largest, made.largest)
    return replace(made, codes=codes.astype(np.int8).reshape(made.codes.shape))
