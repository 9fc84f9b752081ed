"""Gives an activation a node of its own, where a target's kernel does not apply it.

before:  %1 = conv2d(%x, w, b) {activation=relu}
after:   %2 = conv2d(%x, w, b)    %1 = relu(%2)

The other way round is fuse_activation. Quantized ops keep theirs: it decides which codes they store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..graph import Graph, Node
from ..ops import Activation, Clamp, OpAttrs, Relu
from .base import Pass

_OPS: dict[Activation, OpAttrs] = {Activation.RELU: Relu(), Activation.RELU6: Clamp(0.0, 6.0)}


def split_activation(fuses: Mapping[type[OpAttrs], frozenset[Activation]]) -> Pass:
    """The pass for a target whose kernels of these ops apply these activations."""

    def split(graph: Graph) -> bool:
        changed = False
        for node in graph.nodes:
            activation = getattr(node.op, "activation", Activation.NONE)
            if activation in _OPS and activation not in fuses.get(type(node.op), ()) and not _on_codes(node):
                _split(graph, node, _OPS[activation])
                changed = True
        return changed

    return split


def _on_codes(node: Node) -> bool:
    return node.output.quantization is not None


def _split(graph: Graph, node: Node, activation: OpAttrs) -> None:
    bare = graph.add(replace(node.op, activation=Activation.NONE), *node.inputs, name=node.name, source=node.source)  # type: ignore[call-arg]
    active = graph.rebuild(node, activation, [bare])
    graph.replace(node.output, active.output)
    graph.remove(node)
