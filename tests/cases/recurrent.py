"""Time is the first axis and free here; that the batch stays free beside it is in tests/capture/test_recurrent.py."""

from __future__ import annotations

from triport.exporter.ops import Gru, Lstm, Nonlinearity, OpAttrs, Rnn

from .case import Const, Data, OpCase

RELU = Nonlinearity.RELU


def _case(
    name: str, op: OpAttrs, gates: int, *, batch: int = 3, features: int = 4, hidden: int = 5, steps: int = 0,
    states: int = 0, values: tuple[float, ...] = (), state_values: tuple[float, ...] = (),
) -> OpCase:  # fmt: skip
    """``steps`` 0 leaves time free."""
    shape = (steps, batch, features) if steps else (batch, features)
    rows = gates * hidden
    return OpCase(
        name,
        op,
        (
            Data(shape, fixed=bool(steps), values=values),
            Const((rows, features)),
            Const((rows, hidden)),
            Const((2, rows)),
            *(Data((batch, hidden), fixed=True, values=state_values) for _ in range(states)),
        ),
    )


CASES = [
    _case("lstm/free_time", Lstm(), 4),
    _case("lstm/reverse", Lstm(reverse=True), 4),
    _case("lstm/state", Lstm(), 4, states=2),
    _case("lstm/state_reverse", Lstm(reverse=True), 4, states=2),
    _case("lstm/five_steps", Lstm(), 4, steps=5),
    _case("lstm/five_steps_reverse_state", Lstm(reverse=True), 4, steps=5, states=2),
    _case("lstm/one_step", Lstm(), 4, steps=1),
    _case("lstm/one_step_state", Lstm(), 4, steps=1, states=2),
    _case("lstm/one_of_each", Lstm(), 4, batch=1, features=1, hidden=1),
    _case("lstm/wide", Lstm(), 4, batch=2, features=33, hidden=64),
    _case("lstm/long", Lstm(), 4, batch=1, features=3, hidden=8, steps=130),
    _case("lstm/many_units", Lstm(), 4, batch=2, features=3, hidden=100, steps=20),
    _case("lstm/saturated", Lstm(), 4, values=(-1e4, 300.0, 1e4, 0.0)),
    _case("gru/free_time", Gru(), 3),
    _case("gru/reverse", Gru(reverse=True), 3),
    _case("gru/state", Gru(), 3, states=1),
    _case("gru/five_steps", Gru(), 3, steps=5),
    _case("gru/five_steps_reverse_state", Gru(reverse=True), 3, steps=5, states=1),
    _case("gru/one_step", Gru(), 3, steps=1),
    _case("gru/one_of_each", Gru(), 3, batch=1, features=1, hidden=1),
    _case("gru/wide", Gru(), 3, batch=2, features=33, hidden=64),
    _case("gru/long", Gru(), 3, batch=1, features=3, hidden=8, steps=130),
    _case("gru/many_units_reverse_state", Gru(reverse=True), 3, batch=2, features=3, hidden=100, steps=20, states=1),
    _case("rnn/tanh", Rnn(), 1),
    _case("rnn/relu", Rnn(nonlinearity=RELU), 1, hidden=3),
    _case("rnn/reverse_state", Rnn(reverse=True), 1, states=1),
    _case("rnn/relu_state", Rnn(nonlinearity=RELU), 1, hidden=3, states=1),
    _case("rnn/five_steps", Rnn(), 1, steps=5),
    _case("rnn/five_steps_relu_reverse", Rnn(reverse=True, nonlinearity=RELU), 1, steps=5, hidden=3),
    _case("rnn/one_step", Rnn(), 1, steps=1),
    _case("rnn/one_of_each", Rnn(), 1, batch=1, features=1, hidden=1),
]
