"""Recurrent layers: the sums over x in one matrix product, then a kernel that goes through the steps."""

from __future__ import annotations

from ....exporter.graph import Node
from ....exporter.ops import Activation, Gru, Lstm, Nonlinearity, Rnn
from ....exporter.ops.recurrent import Recurrent
from ...emit import constant_parameters
from ..emitters import BOUNDS, emits, floats_only
from ..pack import pack_bias, pack_panels
from ..writer import Writer

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
    sums_of_x = writer.scratch(steps * batch * rows)
    writer.call(
        "gemm",
        sums_of_x,
        writer.operand(x),
        writer.weights(pack_panels(weight.array())),
        writer.weights(pack_bias(for_x, rows)),
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
        writer.scratch(batch * rows),
        writer.weights(pack_panels(hidden_weight.array())),
        writer.weights(pack_bias(for_state, rows)),
        *(given or [_NO_STATE] * op.states),
        steps,
        batch,
        hidden,
        int(op.reverse),
        *relu,
    )
