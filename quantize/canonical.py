"""The float graph as quantization sees it: norms and scales folded, activations taken into the op before, no dead ends.

The graph stays portable: nothing here depends on a target or a layout. Each value that is observed has the name that it
keeps in the quantized graph.
"""

from __future__ import annotations

from ..exporter.graph import Graph
from ..exporter.ops import Activation, Add, Conv, Linear, Mul, Sub
from ..exporter.passes.cancel_transposes import cancel_transposes
from ..exporter.passes.dead_code import remove_dead_code
from ..exporter.passes.fold_constants import fold_constants
from ..exporter.passes.fold_scale_into_linear import fold_scale_into_linear
from ..exporter.passes.fuse_activation import as_activation, fuse_activation
from ..exporter.passes.fuse_batch_norm import fuse_batch_norm
from ..exporter.passes.fuse_pad import fuse_pad
from ..exporter.passes.last_state import last_state
from ..exporter.passes.merge_constants import merge_constants
from ..exporter.passes.simplify_reshape import simplify_reshape

_CLAMPS = frozenset({Activation.RELU, Activation.RELU6})
_FUSES = dict.fromkeys((Conv, Linear, Add, Sub, Mul), _CLAMPS)


def canonical(graph: Graph) -> Graph:
    """A copy of ``graph`` that computes the same with fewer ops; the original is left alone."""
    prepared = graph.copy()
    for apply in (
        remove_dead_code,
        fold_constants,
        fuse_pad,
        cancel_transposes,
        last_state,
        simplify_reshape,
        fuse_batch_norm,
        fold_scale_into_linear,
        fold_constants,
        _fuse_activations,
        merge_constants,
        remove_dead_code,
    ):
        apply(prepared)
    return prepared


def _fuse_activations(graph: Graph) -> bool:
    """`fuse_activation`, after which the fused node's output has the name of the activation's: it is that value."""
    behind = {
        node.inputs[0].name: node.output.name
        for node in graph.nodes
        if node.inputs and as_activation(node.op) is not None
    }
    changed = fuse_activation(_FUSES)(graph)
    for node in graph.nodes:
        if getattr(node.op, "activation", Activation.NONE) is not Activation.NONE and node.output.name in behind:
            graph.rename(node.output, behind[node.output.name])
    return changed
