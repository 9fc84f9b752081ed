"""Recurrent layers: the sums over x in one matrix product, then a kernel that goes through the steps."""

from __future__ import annotations

import numpy as np

from ....exporter.graph import Node
from ....exporter.ops import Activation, Gru, Lstm, Nonlinearity, Rnn
from ....exporter.ops.recurrent import Recurrent
from ...emit import constant_parameters
from ..emitters import BOUNDS, emits, floats_only
from ..pack import pack_bias, pack_gates, pack_panels
from ..writer import Writer

_READ_BEHIND = 32
"""Cells behind the sums that kernels/recurrent.c may read."""

_NO_STATE = 0
"""The address that tells a kernel to start from zeros."""


@emits(Lstm, Gru, Rnn, accepts=lambda node: floats_only(node) or constant_parameters(1, 4)(node))
def recurrent(node: Node, writer: Writer) -> None:
    op = node.op
    assert isinstance(op, Recurrent)
    x, weight, hidden_weight, bias, *states = node.inputs
    steps, batch, features = x.type.shape
    rows, hidden = hidden_weight.type.static_shape()
    for_x, for_state = bias.array()
    y, *last = (writer.result(value) for value in node.outputs)
    gates = rows // hidden
    fresh = (
        2 * hidden if isinstance(op, Gru) else rows
    )  # a GRU's new content keeps the bias of the state's products apart
    apart = for_state[fresh:]
    sums_of_x = writer.scratch(steps * batch * rows + _READ_BEHIND)
    writer.call(
        "gemm",
        sums_of_x,
        writer.operand(x),
        writer.weights(pack_panels(weight.array())),
        writer.weights(pack_bias(np.concatenate([for_x[:fresh] + for_state[:fresh], for_x[fresh:]]), rows)),
        steps * batch,
        rows,
        features,
        *BOUNDS[Activation.NONE],
    )
    given: list[str | int] = [writer.operand(state) for state in states]
    relu = [int(op.nonlinearity is Nonlinearity.RELU)] if isinstance(op, Rnn) else []
    writer.call(
        op.name,
        y,
        *last,
        sums_of_x,
        writer.weights(pack_gates(hidden_weight.array(), gates)),
        *([writer.weights(pack_bias(apart, hidden))] if apart.size else []),
        *(given or [_NO_STATE] * op.states),
        steps,
        batch,
        hidden,
        int(op.reverse),
        *relu,
    )
