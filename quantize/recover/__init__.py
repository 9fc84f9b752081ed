"""Getting back accuracy that rounding took, layer by layer, without training.

    equalize   channels between two layers share their range
    bias       the mean of each filter's output stays
    adaround   weights are rounded so that outputs stay

All three only choose other integers: what runs is as exact as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ...exporter.graph import Array, Graph, Node, Quantization
from ...exporter.ops import Conv, Linear
from ..strict import in_steps
from ..weights import Filters
from ..writer import WeightRule, cut_to_pairs, paired_filters, rounded_filters, strict_codes, unit_filters
from .adaround import rounded_for_outputs
from .bias import unshifted
from .equalize import equalize
from .layers import look

METHODS = ("equalize", "bias", "adaround")

__all__ = ["METHODS", "equalize", "filters_with"]


def filters_with(
    methods: Sequence[str],
    graph: Graph,
    batches: Iterable[Mapping[str, Array]],
    plain: WeightRule = rounded_filters,
) -> WeightRule:
    """The rule by which weights become integers; ``graph`` is canonical, and equalised where that was asked for.

    plain   the rule that chooses scales, and codes where no method does
    """
    if not {"bias", "adaround"} & set(methods):
        return plain
    nodes = [node for node in graph.nodes if isinstance(node.op, Conv | Linear) and node.inputs[1].is_constant]
    choose = unit_filters if plain is strict_codes else plain
    seen = look(graph, nodes, batches, sampled="adaround" in methods)

    def rule(node: Node, of: Quantization, to: Quantization) -> Filters:
        made = choose(node, of, to)
        if "adaround" in methods and node.name in seen.rows:
            made = rounded_for_outputs(node, made, seen.rows[node.name])
            made = cut_to_pairs(node, made) if plain is paired_filters else made
        made = unshifted(node, made, of, seen.means[node.name]) if "bias" in methods else made
        return in_steps(made) if plain is strict_codes else made

    return rule
