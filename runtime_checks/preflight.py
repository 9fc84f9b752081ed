"""What is settled before a byte is written: that every port can spell every node, and that the weights are numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..exporter.errors import ModelError
from ..exporter.graph import DType, Graph, Node
from ..exporter.ops import BatchNorm, Conv, ConvTranspose, Gather, LayerNorm, Linear, MatMul
from ..targets.emit import Refusal
from ..targets.prepare import legalised, refusals
from ..targets.registry import TARGET_NAMES
from ..targets.target import Target

_WEIGHTED = (BatchNorm, Conv, ConvTranspose, Gather, LayerNorm, Linear, MatMul)
"""Ops in which an infinite constant is a broken weight; elsewhere it may be meant, as in an attention mask."""

_INT32 = np.iinfo(np.int32)

_Refused = tuple[Target, Node, Refusal]


def prepare_all(graph: Graph, targets: Sequence[Target]) -> dict[str, Graph]:
    """{target: the graph as it writes it}; one ModelError names every node that any of them cannot spell."""
    check_bytes(graph, targets)
    check_integers(graph, targets)
    prepared = {target.name: legalised(graph, target) for target in targets}
    refused = [(t, node, refusal) for t in targets for node, refusal in refusals(prepared[t.name], t)]
    if refused:
        raise _refused_error(refused)
    return prepared


def check_bytes(graph: Graph, targets: Sequence[Target]) -> None:
    """ModelError TP106 for weights that a port's format cannot hold; asked before any of them is touched."""
    stored, expanded = graph.stored_bytes(), graph.parameter_bytes()

    def holds(target: Target) -> bool:
        can = target.capabilities
        return stored <= (can.most_bytes or stored) and expanded <= (can.most_expanded or expanded)

    for target in targets:
        if not holds(target):
            most = target.capabilities.most_bytes or target.capabilities.most_expanded or 0
            needed = stored if target.capabilities.most_bytes else expanded
            able = [other.name for other in targets if holds(other)]
            instead = f": --to {','.join(able)}" if able else ": --to onnx"
            raise ModelError(
                "TP106",
                f"the weights take {needed / 1e9:.2f} GB; {target.artefact} holds {most / 1e9:.2f} GB",
                because="its format addresses no more",
                help=f"use a smaller model, or export to a port that keeps large weights beside the file{instead}",
            )


def check_integers(graph: Graph, targets: Sequence[Target]) -> None:
    """ModelError TP105 when a recorded input or output does not fit a port that narrows int64 to int32."""
    narrow = [target.name for target in targets if target.capabilities.narrow_integers]
    if not narrow:
        return
    for sample in graph.samples:
        for kind, arrays in (("input", sample.stored_inputs), ("output", sample.outputs)):
            for name, array in arrays.items():
                if array.dtype == np.int64 and array.size:
                    _check_fits(f'{kind} "{name}"', max((int(array.min()), int(array.max())), key=abs), narrow)
        for name, recipe in sample.recipes.items():
            if recipe.dtype is DType.INT64:
                _check_fits(f'input "{name}"', int(max(recipe.low, recipe.high, key=abs)), narrow)


def _check_fits(what: str, largest: int, narrow: Sequence[str]) -> None:
    if not _INT32.min <= largest <= _INT32.max:
        raise ModelError(
            "TP105",
            f"{what} is {largest} on an example, and int64 becomes int32 on {' and '.join(narrow)}",
            because=f"integers of 32 bits end at {_INT32.max}",
            help="keep the numbers small (indices, offsets from a start), or export to onnx alone: --to onnx",
        )


def check_weights(graph: Graph) -> None:
    """ModelError TP130 when a weight is NaN or infinite; names the layer."""
    for node in graph.nodes:
        for position, value in enumerate(node.inputs):
            array = value.constant
            if array is None or not value.type.dtype.is_float or np.isfinite(array).all():
                continue
            nan, infinite = int(np.isnan(array).sum()), int(np.isinf(array).sum())
            if not nan and not isinstance(node.op, _WEIGHTED):
                continue
            operands = node.op.operands
            operand = operands[position].rstrip("?") if position < len(operands) else "constant"
            raise ModelError(
                "TP130",
                f"{operand} of {node.describe()} holds {nan} NaN and {infinite} infinite of {array.size} numbers",
                at=str(node.source) or None,
                because="training diverged, or the weights were damaged before they were saved",
                help="train again with a smaller learning rate, or with clipped gradients",
            )


def _refused_error(refused: Sequence[_Refused]) -> ModelError:
    target, node, first = refused[0]
    others = [f"{n.describe()} ({n.source}) cannot be written to {t.name}: {r.because}" for t, n, r in refused[1:]]
    able = [name for name in TARGET_NAMES if name not in {t.name for t, _, _ in refused}]
    ports = f"--to {','.join(able)}" if able else ""
    # Advice that names ports already stands for itself, unless another of those that were asked for refuses too.
    advice = "" if ports and "--to " in first.help else first.help
    instead = f"export to {', '.join(able)} alone: {ports}" if able else ""
    return ModelError(
        first.code,
        f"{node.describe()} cannot be written to {target.name}: {first.because}",
        at=str(node.source) or None,
        because="\n    ".join([f"{len(refused)} nodes cannot be written, the others are:", *others])
        if others
        else None,
        help="; or ".join(filter(None, (advice, instead))),
    )
