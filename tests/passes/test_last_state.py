"""Slices of a recurrent layer's sequence that are its state."""

from __future__ import annotations

import pytest
from passes.build import BATCH, Builder, count, fires, labels, leaves_alone

from triport.exporter.graph import DType, Graph, Sym, TensorType, Value
from triport.exporter.ops import Gru, Layout, Lstm, Reshape, Rnn, Slice, Transpose
from triport.exporter.ops.recurrent import Recurrent
from triport.exporter.passes.last_state import last_state
from triport.exporter.passes.pipeline import legalise

STEPS, UNITS = 5, 3
TIME = Sym.named("time")


def _layer(b: Builder, op: Recurrent, steps: int | Sym = STEPS) -> Value:
    """y [steps, batch, units] of a layer over an input of two features."""
    x = b.graph.add_input("x", TensorType(DType.FLOAT32, (steps, BATCH, 2)))
    rows = op.gates * UNITS
    parameters = b.constant(rows, 2), b.constant(rows, UNITS), b.constant(2, rows)
    return b.graph.add_node(op, [x, *parameters], name="layer").outputs[0]


def _step(start: int | Sym, stop: int | Sym) -> Slice:
    return Slice((0,), (start,), (stop,), (1,))


@pytest.mark.parametrize("op", [Lstm(), Gru(), Rnn()])
def test_the_last_step_is_the_state(op: Recurrent) -> None:
    b = Builder()
    after = fires(last_state, b.done(b.add(_step(STEPS - 1, STEPS), _layer(b, op), name="last")))
    assert labels(after) == [op.name, "reshape"]
    (reshape,) = (node for node in after.nodes if isinstance(node.op, Reshape))
    assert reshape.name == "last" and reshape.inputs[0] is after.nodes[0].outputs[1]


def test_the_last_of_a_free_number_of_steps_is_the_state() -> None:
    b = Builder()
    after = fires(last_state, b.done(b.add(_step(TIME - 1, TIME), _layer(b, Gru(), TIME))))
    assert labels(after) == ["gru", "reshape"]


def test_a_layer_that_goes_backwards_ends_at_the_first_step() -> None:
    b = Builder()
    after = fires(last_state, b.done(b.add(_step(0, 1), _layer(b, Lstm(reverse=True)))))
    assert labels(after) == ["lstm", "reshape"]


def test_other_steps_stay_slices() -> None:
    for op, part in (
        (Lstm(), _step(0, 1)),
        (Lstm(), _step(STEPS - 2, STEPS)),
        (Lstm(), _step(STEPS - 2, STEPS - 1)),
        (Lstm(reverse=True), _step(STEPS - 1, STEPS)),
        (Lstm(), Slice((2,), (2,), (3,), (1,))),
        (Lstm(), Slice((0, 2), (STEPS - 1, 0), (STEPS, 2), (1, 1))),
    ):
        b = Builder()
        leaves_alone(last_state, b.done(b.add(part, _layer(b, op))))


def test_a_classifier_of_the_last_step_keeps_no_sequence() -> None:
    """torch's batch_first puts a transpose between the layer and the slice."""
    b = Builder()
    sequence = b.add(Transpose((1, 0, 2)), _layer(b, Lstm()))
    last = b.add(Slice((1,), (STEPS - 1,), (STEPS,), (1,)), sequence)
    graph: Graph = b.done(b.linear(b.add(Reshape((BATCH, UNITS)), last), 4))
    prepared = legalise(graph, layout=Layout.CHANNELS_LAST, fuses={}, lifts_1d=False, spells=lambda node: True)
    assert labels(prepared) == ["lstm", "linear"]
    assert not prepared.nodes[0].outputs[0].users
    assert count(prepared, Slice) == 0
