"""Recurrent layers and cells: a node for each layer and direction."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..graph import Value
from ..ops import Concat, Gru, Lstm, Reshape, Rnn, Slice, Transpose
from ..ops.recurrent import Nonlinearity, Recurrent
from .context import Context
from .filled import Filled, takes_filled
from .recurrent_calls import NAMESPACE
from .registry import captures

State = Value | Filled
Make = Callable[[bool], Recurrent]

_MAKES: dict[str, Make] = {
    "lstm": Lstm,
    "gru": Gru,
    "rnn_tanh": Rnn,
    "rnn_relu": lambda reverse: Rnn(reverse, Nonlinearity.RELU),
}


def _layers(name: str) -> Callable[..., list[Value]]:
    """The converter of a call over a whole sequence."""

    def convert(
        context: Context,
        x: Value,
        states: Sequence[State],
        weights: Sequence[Value],
        biased: bool,
        layers: int,
        bidirectional: bool,
        batch_first: bool,
    ) -> list[Value]:
        directions = 2 if bidirectional else 1
        per = len(weights) // (layers * directions)
        if per != (4 if biased else 2):
            raise context.error(
                "TP202",
                "an LSTM with a projection (proj_size) has no meaning here",
                "use proj_size=0, and an nn.Linear behind the layer where the size matters",
            )
        steps = context.add(Transpose((1, 0, 2)), x) if batch_first else x
        last: list[list[Value]] = []
        for layer in range(layers):
            results = []
            for direction in range(directions):
                position = layer * directions + direction
                w_ih, w_hh, *biases = weights[position * per : (position + 1) * per]
                op = _MAKES[name](direction == 1)
                given = [_state_of(context, state, position, layers * directions) for state in states]
                results.append(_node(context, op, steps, w_ih, w_hh, biases, given))
            steps = results[0][0] if len(results) == 1 else context.add(Concat(2), *(result[0] for result in results))
            last += [result[1:] for result in results]
        y = context.add(Transpose((1, 0, 2)), steps) if batch_first else steps
        return [y, *(_stacked(context, [state[i] for state in last]) for i in range(len(states)))]

    return convert


def _from_torch(convert: Callable[..., list[Value]]) -> Callable[..., list[Value]]:
    """The converter of torch's own call, which programs that others exported hold."""

    def converted(
        context: Context,
        x: Value,
        states: State | Sequence[State],
        weights: Sequence[Value],
        biased: bool,
        layers: int,
        dropout: float,
        training: bool,
        *settings: bool,
    ) -> list[Value]:
        listed = [states] if isinstance(states, Value | Filled) else states
        return convert(context, x, listed, weights, biased, layers, *settings)

    return converted


_WHOLE = {name: _layers(name) for name in _MAKES}
_TORCH = {name: _from_torch(convert) for name, convert in _WHOLE.items()}
for _name in _MAKES:
    captures(f"{NAMESPACE}.{_name}")(_WHOLE[_name])
    captures(f"{_name}.input")(takes_filled(_TORCH[_name]))


@captures("lstm_cell")
def lstm_cell(
    context: Context,
    x: Value,
    states: Sequence[State],
    w_ih: Value,
    w_hh: Value,
    b_ih: Value | None,
    b_hh: Value | None,
) -> list[Value]:
    return _cell(context, Lstm(), x, states, w_ih, w_hh, b_ih, b_hh)


@captures("gru_cell")
@takes_filled
def gru_cell(context: Context, x: Value, state: State, *weights: Value | None) -> Value:
    return _cell(context, Gru(), x, [state], *weights)[0]


@captures("rnn_tanh_cell")
@takes_filled
def rnn_tanh_cell(context: Context, x: Value, state: State, *weights: Value | None) -> Value:
    return _cell(context, Rnn(), x, [state], *weights)[0]


@captures("rnn_relu_cell")
@takes_filled
def rnn_relu_cell(context: Context, x: Value, state: State, *weights: Value | None) -> Value:
    return _cell(context, Rnn(nonlinearity=Nonlinearity.RELU), x, [state], *weights)[0]


def _cell(context: Context, op: Recurrent, x: Value, states: Sequence[State], *weights: Value | None) -> list[Value]:
    """A cell is a sequence of one step."""
    w_ih, w_hh, *biases = weights
    assert w_ih is not None and w_hh is not None
    step = context.add(Reshape((1, *x.type.shape)), x)
    given = [None if _is_zero(state) else _known(context, state) for state in states]
    return _node(context, op, step, w_ih, w_hh, [bias for bias in biases if bias is not None], given)[1:]


def _node(
    context: Context,
    op: Recurrent,
    x: Value,
    w_ih: Value,
    w_hh: Value,
    biases: Sequence[Value],
    states: Sequence[Value | None],
) -> list[Value]:
    """One layer in one direction; the state is left out when all of it is zero."""
    rows = w_ih.type.shape[0]
    if not biases:
        bias = context.constant(np.zeros((2, context.static(rows, "the size of a weight")), w_ih.type.dtype.numpy))
    elif all(value.is_constant for value in biases):
        bias = context.constant(np.stack([value.array() for value in biases]), biases[0].name)
    else:
        bias = context.add(Concat(0), *(context.add(Reshape((1, rows)), value) for value in biases))
    given: list[Value] = []
    if any(state is not None for state in states):
        given = [state or _zeros_like(context, next(filter(None, states))) for state in states]
    return context.add_several(op, x, w_ih, w_hh, bias, *given)


def _zeros_like(context: Context, state: Value) -> Value:
    """Zeros where only one of two states is given; the size has to be known."""
    shape = tuple(context.static(dim, "the size of a state of zeros") for dim in state.type.shape)
    return context.constant(np.zeros(shape, state.type.dtype.numpy))


def _is_zero(state: State) -> bool:
    """Whether a state is what the layer starts from when none is given."""
    if isinstance(state, Filled):
        return state.number == 0
    if state.is_constant:
        return not state.array().any()
    made = state.producer
    return made is not None and made.op.name in ("expand", "reshape", "slice", "transpose") and _is_zero(made.inputs[0])


def _known(context: Context, state: State) -> Value:
    if isinstance(state, Filled):
        raise context.error(
            "TP203",
            f"the state that a recurrent layer starts from is filled with {state.number}, and its size is free",
            "start from zeros, make the state an input of the model, or fix the size of that dimension",
        )
    return state


def _state_of(context: Context, state: State, position: int, count: int) -> Value | None:
    """[N, H] of one layer and direction from the stack [count, N, H]; None when it is zero."""
    if _is_zero(state):
        return None
    known = _known(context, state)
    part = known if count == 1 else context.add(Slice((0,), (position,), (position + 1,), (1,)), known)
    return context.add(Reshape(known.type.shape[1:]), part)


def _stacked(context: Context, states: Sequence[Value]) -> Value:
    """[count, N, H]"""
    whole = [context.add(Reshape((1, *state.type.shape)), state) for state in states]
    return whole[0] if len(whole) == 1 else context.add(Concat(0), *whole)
