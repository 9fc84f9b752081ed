"""What is settled before a byte is written: that every port can spell every node, and that the weights are numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..exporter.errors import ModelError
from ..exporter.graph import Graph, Node
from ..exporter.ops import BatchNorm, Conv, ConvTranspose, Gather, LayerNorm, Linear, MatMul
from ..targets.emit import Refusal
from ..targets.prepare import legalised, refusals
from ..targets.registry import TARGET_NAMES
from ..targets.target import Target

_WEIGHTED = (BatchNorm, Conv, ConvTranspose, Gather, LayerNorm, Linear, MatMul)
"""Ops in which an infinite constant is a broken weight; elsewhere it may be meant, as in an attention mask."""

_Refused = tuple[Target, Node, Refusal]


def prepare_all(graph: Graph, targets: Sequence[Target]) -> dict[str, Graph]:
    """{target: the graph as it writes it}; one ModelError names every node that any of them cannot spell."""
    prepared = {target.name: legalised(graph, target) for target in targets}
    refused = [(t, node, refusal) for t in targets for node, refusal in refusals(prepared[t.name], t)]
    if refused:
        raise _refused_error(refused)
    return prepared


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
    instead = f"; or export to {', '.join(able)} alone: --to {','.join(able)}" if able else ""
    return ModelError(
        first.code,
        f"{node.describe()} cannot be written to {target.name}: {first.because}",
        at=str(node.source) or None,
        because="\n    ".join([f"{len(refused)} nodes cannot be written, the others are:", *others])
        if others
        else None,
        help=first.help + instead,
    )
