"""LSTM, GRU and RNN.

ONNX Runtime's kernels clamp what goes into a gate, and a NaN becomes a number there; the other ports hand it on.
"""

from __future__ import annotations

import numpy as np

from ....exporter.graph import Array, Node
from ....exporter.ops import Gru, Lstm, Rnn
from ....exporter.ops.recurrent import Nonlinearity, Recurrent
from ...emit import constant_parameters
from ..emitters import emits
from ..writer import OnnxWriter

_GATE_ORDER: dict[type[Recurrent], tuple[int, ...]] = {Rnn: (0,), Gru: (1, 0, 2), Lstm: (0, 3, 1, 2)}
"""ONNX's order of the gates in torch's: z, r, n and i, o, f, g."""


@emits(Rnn, Gru, Lstm, accepts=constant_parameters(1, 4))
def recurrent(node: Node, writer: OnnxWriter) -> None:
    """ONNX has an axis for the directions behind time, and in front of everything else."""
    op = node.op
    assert isinstance(op, Recurrent)
    x, weight, hidden_weight, bias, *states = node.inputs
    order = _GATE_ORDER[type(op)]
    operands = [
        writer.name(x),
        writer.constant(node, "weight", _ordered(weight.array(), order)[None]),
        writer.constant(node, "hidden_weight", _ordered(hidden_weight.array(), order)[None]),
        writer.constant(node, "bias", np.concatenate([_ordered(half, order) for half in bias.array()])[None]),
        "",
    ]
    first = writer.ints(node, "first_axis", [0])
    for position, state in enumerate(states):
        role = f"{node.name}/state_{position}"
        operands.append(writer.node("Unsqueeze", node, [state, first], output=role))
    results = [f"{value.name}/directions" for value in node.outputs]
    attributes: dict[str, object] = {"hidden_size": hidden_weight.type.static_shape()[1]}
    if op.reverse:
        attributes["direction"] = "reverse"
    if isinstance(op, Gru):
        attributes["linear_before_reset"] = 1
    if isinstance(op, Rnn) and op.nonlinearity is Nonlinearity.RELU:
        attributes["activations"] = ["Relu"]
    writer.inner_node(type(op).__name__.upper(), node, operands if states else operands[:4], results, attributes)
    behind_time = writer.ints(node, "behind_time", [1])
    for value, result, axis in zip(node.outputs, results, [behind_time, first, first], strict=False):
        writer.node("Squeeze", node, [result, axis], output=value.name)


def _ordered(rows: Array, order: tuple[int, ...]) -> Array:
    """[G*H, ...] with the gates in another order."""
    return np.concatenate([np.split(rows, len(order))[gate] for gate in order])
