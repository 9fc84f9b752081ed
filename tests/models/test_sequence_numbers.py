"""What recurrent and attention layers compute, against Keras's published formulas written out in numpy here.

Weights are given in Keras's layout and order, so the formulas use them as Keras stores them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

import triport as tp
from triport.exporter.errors import ModelError, UsageError
from triport.exporter.models.layers.arguments import BaseArguments
from triport.exporter.models.layers.recurrent import DEFAULTS, Extras

L = tp.layers
Array = np.ndarray
UNITS, FEATURES = 3, 4


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def hard_sigmoid(x: Array) -> Array:
    return np.clip(x / 6 + 0.5, 0, 1)


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


Step = Callable[[Array, list[Array]], list[Array]]


def lstm_step(weights: Sequence[Array], a: Any = np.tanh, s: Any = sigmoid) -> Step:
    """keras.src.layers.rnn.lstm.LSTMCell.call: kernel [in, 4u], gates i, f, c, o."""
    kernel, recurrent, bias = weights

    def step(x: Array, states: list[Array]) -> list[Array]:
        h, c = states
        i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4, axis=-1)
        c = s(f) * c + s(i) * a(g)
        return [s(o) * a(c), c]

    return step


def gru_step(weights: Sequence[Array], reset_after: bool = True, a: Any = np.tanh, s: Any = sigmoid) -> Step:
    """keras.src.layers.rnn.gru.GRUCell.call: kernel [in, 3u], gates z, r, h."""
    kernel, recurrent, bias = weights
    u = UNITS

    def step(x: Array, states: list[Array]) -> list[Array]:
        (h,) = states
        x_z, x_r, x_h = np.split(x @ kernel + (bias[0] if reset_after else bias), 3, axis=-1)
        if reset_after:
            h_z, h_r, h_h = np.split(h @ recurrent + bias[1], 3, axis=-1)
            z, r = s(x_z + h_z), s(x_r + h_r)
            candidate = a(x_h + r * h_h)
        else:
            z = s(x_z + h @ recurrent[:, :u])
            r = s(x_r + h @ recurrent[:, u : 2 * u])
            candidate = a(x_h + (r * h) @ recurrent[:, 2 * u :])
        return [z * h + (1 - z) * candidate]

    return step


def rnn_step(weights: Sequence[Array], a: Any = np.tanh) -> Step:
    kernel, recurrent, bias = weights
    return lambda x, states: [a(x @ kernel + states[0] @ recurrent + bias)]


def naive(
    step: Step, x: Array, states: list[Array], mask: Array | None = None, backwards: bool = False, zero: bool = False
) -> tuple[Array, list[Array]]:
    """(the outputs in the order they are made, the last states) of x [batch, steps, features], as K.rnn does it."""
    mask = np.ones(x.shape[:2], bool) if mask is None else mask
    order = range(x.shape[1])[::-1] if backwards else range(x.shape[1])
    before = np.zeros((len(x), UNITS))
    outputs = []
    for t in order:
        new = step(x[:, t], states)
        here = mask[:, t, None]
        states = [np.where(here, after, old) for after, old in zip(new, states, strict=True)]
        before = np.where(here, new[0], np.zeros_like(before) if zero else before)
        outputs.append(before)
    return np.stack(outputs, axis=1), states


LAYERS: dict[str, tuple[Callable[..., Any], Callable[[Sequence[Array]], Step], int]] = {
    "lstm": (L.LSTM, lstm_step, 2),
    "lstm_relu": (partial(L.LSTM, activation="relu"), partial(lstm_step, a=relu), 2),
    "lstm_hard": (partial(L.LSTM, recurrent_activation="hard_sigmoid"), partial(lstm_step, s=hard_sigmoid), 2),
    "gru": (L.GRU, gru_step, 1),
    "gru_before": (partial(L.GRU, reset_after=False), partial(gru_step, reset_after=False), 1),
    "gru_relu": (partial(L.GRU, activation="relu"), partial(gru_step, a=relu), 1),
    "rnn": (L.SimpleRNN, rnn_step, 1),
    "rnn_relu": (partial(L.SimpleRNN, activation="relu"), partial(rnn_step, a=relu), 1),
    "rnn_sigmoid": (partial(L.SimpleRNN, activation="sigmoid"), partial(rnn_step, a=sigmoid), 1),
}
BY_NAME = pytest.mark.parametrize("name", LAYERS)


def with_weights(layer: tp.Layer, rng: np.random.Generator) -> list[Array]:
    """Builds the layer for [batch, any, FEATURES] and gives it random weights; returns them in Keras's layout."""
    layer.ensure_built((None, None, FEATURES))
    weights = [rng.normal(size=weight.shape) * 0.7 for weight in layer.get_weights()]
    layer.set_weights(weights)
    return weights


def run(layer: tp.Layer, x: Array, states: list[Array] | None = None, mask: Array | None = None) -> list[Array]:
    given = None if states is None else [torch.from_numpy(state.astype(np.float32)) for state in states]
    with torch.no_grad():
        result = layer.eval()(
            torch.from_numpy(x.astype(np.float32)),
            initial_state=given,
            mask=None if mask is None else torch.from_numpy(mask),
        )
    return [part.numpy() for part in (result if isinstance(result, list) else [result])]


def masks(rng: np.random.Generator, batch: int, steps: int) -> Array:
    """Random ones, one that skips the front, one that skips the end, one that skips all, one that skips none."""
    mask = rng.random((batch, steps)) > 0.4
    mask[0, :2], mask[0, 2:] = False, True
    mask[1, 2:], mask[1, :2] = False, True
    mask[2], mask[3] = False, True
    return mask


@BY_NAME
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
def test_outputs_and_states_are_kerass(name: str, masked: bool, backwards: bool) -> None:
    make, step_of, count = LAYERS[name]
    rng = np.random.default_rng(5)
    layer = make(UNITS, return_sequences=True, return_state=True, go_backwards=backwards)
    weights = with_weights(layer, rng)
    x = rng.normal(size=(6, 5, FEATURES))
    mask = masks(rng, 6, 5) if masked else None
    for states in (None, [rng.normal(size=(6, UNITS)) for _ in range(count)]):
        start = [np.zeros((6, UNITS)) for _ in range(count)] if states is None else states
        y, last = naive(step_of(weights), x, start, mask, backwards)
        answer, *after = run(layer, x, states, mask)
        np.testing.assert_allclose(answer, y, atol=2e-6)
        for got, wanted in zip(after, last, strict=True):
            np.testing.assert_allclose(got, wanted, atol=2e-6)
        layer.return_sequences = False
        only = run(layer, x, states, mask)[0]
        np.testing.assert_allclose(only, last[0], atol=2e-6)
        layer.return_sequences = True


def test_weights_have_kerass_shapes_and_the_forget_bias_starts_at_one() -> None:
    lstm, gru, before = L.LSTM(UNITS), L.GRU(UNITS), L.GRU(UNITS, reset_after=False)
    for layer in (lstm, gru, before):
        layer.ensure_built((None, None, FEATURES))
    assert [w.shape for w in lstm.get_weights()] == [(4, 12), (3, 12), (12,)]
    assert [w.shape for w in gru.get_weights()] == [(4, 9), (3, 9), (2, 9)]
    assert [w.shape for w in before.get_weights()] == [(4, 9), (3, 9), (9,)]
    np.testing.assert_array_equal(lstm.get_weights()[2], [0] * 3 + [1] * 3 + [0] * 6)
    recurrent = lstm.get_weights()[1]
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(3), atol=1e-6)


@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("kind", [L.LSTM, L.GRU, L.SimpleRNN])
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
def test_bidirectional_is_two_layers_merged(mode: str | None, kind: Any, masked: bool) -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(6, 5, FEATURES))
    mask = masks(rng, 6, 5) if masked else None
    for sequences in (False, True):
        both = L.Bidirectional(kind(UNITS, return_sequences=sequences, return_state=True), merge_mode=mode)
        weights = with_weights(both, rng)
        states = [rng.normal(size=(6, UNITS)) for _ in range(2 * both.forward_layer.states)]
        half, count = len(weights) // 2, len(states) // 2
        steps: dict[Any, Callable[[Sequence[Array]], Step]] = {L.LSTM: lstm_step, L.GRU: gru_step}
        step = steps.get(kind, rnn_step)
        y, last = naive(step(weights[:half]), x, states[:count], mask, zero=True)
        z, end = naive(step(weights[half:]), x, states[count:], mask, backwards=True, zero=True)
        y, z = (y, z[:, ::-1]) if sequences else (last[0], end[0])
        merged = {
            "concat": [np.concatenate([y, z], axis=-1)],
            "sum": [y + z],
            "mul": [y * z],
            "ave": [(y + z) / 2],
            None: [y, z],
        }[mode]
        for got, wanted in zip(run(both, x, states, mask), [*merged, *last, *end], strict=True):
            np.testing.assert_allclose(got, wanted, atol=2e-6)


def test_recurrent_dropout_drops_the_same_cells_in_every_step_and_none_in_eval_mode() -> None:
    rng = np.random.default_rng(7)
    layer = L.SimpleRNN(UNITS, activation="linear", recurrent_dropout=0.5, seed=1)
    weights = with_weights(layer, rng)
    x = rng.normal(size=(2, 4, FEATURES)).astype(np.float32)
    answer = layer.train()(torch.from_numpy(x)).detach().numpy()
    torch.manual_seed(0)
    kept = (torch.rand((2, UNITS), generator=torch.Generator().manual_seed(1)) >= 0.5).numpy() * 2.0
    h = np.zeros((2, UNITS))
    for t in range(4):
        h = x[:, t] @ weights[0] + (h * kept) @ weights[1] + weights[2]
    np.testing.assert_allclose(answer, h, rtol=1e-5, atol=1e-5)
    plain, _ = naive(rnn_step(weights, lambda v: v), x, [np.zeros((2, UNITS))])
    np.testing.assert_allclose(run(layer, x)[0], plain[:, -1], rtol=1e-5, atol=1e-5)


def test_dropout_drops_the_same_features_in_every_step() -> None:
    layer = L.SimpleRNN(1, activation="linear", dropout=0.5, return_sequences=True, seed=2)
    layer.ensure_built((None, None, 50))
    layer.set_weights([np.ones((50, 1)), np.zeros((1, 1)), np.zeros(1)])
    answer = layer.train()(torch.ones(3, 6, 50)).detach().numpy()[..., 0]
    assert (answer == answer[:, :1]).all() and len(set(answer[:, 0])) > 1


# -- attention ----------------------------------------------------------------------------------------------------


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("mask_rank", [0, 2, 3, 4])
@pytest.mark.parametrize("scored", [False, True])
def test_multi_head_attention_is_kerass(causal: bool, mask_rank: int, scored: bool) -> None:
    rng = np.random.default_rng(8)
    heads, key_dim, value_dim = 2, 3, 5
    query, value, key = (rng.normal(size=(2, t, f)) for t, f in ((4, 6), (5, 7), (5, 8)))
    layer = L.MultiHeadAttention(heads, key_dim, value_dim, output_shape=9)
    layer.ensure_built([(None, *array.shape[1:]) for array in (query, value, key)])
    shapes = [w.shape for w in layer.get_weights()]
    assert shapes == [(6, 2, 3), (2, 3), (8, 2, 3), (2, 3), (7, 2, 5), (2, 5), (2, 5, 9), (9,)]
    weights = [rng.normal(size=shape) for shape in shapes]
    layer.set_weights(weights)
    wq, bq, wk, bk, wv, bv, wo, bo = weights
    q = np.einsum("btd,dnh->bnth", query, wq) + bq[:, None]
    k = np.einsum("bsd,dnh->bnsh", key, wk) + bk[:, None]
    v = np.einsum("bsd,dnh->bnsh", value, wv) + bv[:, None]
    scores = np.einsum("bnth,bnsh->bnts", q, k) / np.sqrt(key_dim)
    looks = np.ones((2, heads, 4, 5), bool)
    mask = None
    if mask_rank:
        mask = rng.random({2: (4, 5), 3: (2, 4, 5), 4: (2, heads, 4, 5)}[mask_rank]) > 0.3
        mask[..., 0] = True
        looks = looks & (mask[:, None] if mask_rank == 3 else mask)
    if causal:
        looks = looks & np.tri(4, 5, dtype=bool)
    spread = softmax(np.where(looks, scores, -np.inf))
    expected = np.einsum("bnsh,bnts->btnh", v, spread)
    expected = np.einsum("btnh,nho->bto", expected, wo) + bo
    tensors = [torch.from_numpy(array.astype(np.float32)) for array in (query, value, key)]
    given = None if mask is None else torch.from_numpy(mask)
    with torch.no_grad():
        result = layer.eval()(*tensors, attention_mask=given, return_attention_scores=scored, use_causal_mask=causal)
    answer, *shown = result if scored else [result]
    np.testing.assert_allclose(answer.numpy(), expected, rtol=1e-5, atol=2e-5)
    for item in shown:
        np.testing.assert_allclose(item.numpy(), spread, atol=1e-6)


@pytest.mark.parametrize("kind", ["dot", "concat", "additive"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_on_a_list_is_kerass(kind: str, causal: bool, masked: bool) -> None:
    rng = np.random.default_rng(9)
    query, value, key = (rng.normal(size=(2, t, f)) for t, f in ((4, 6), (5, 7), (5, 6)))
    layer = L.AdditiveAttention() if kind == "additive" else L.Attention(use_scale=True, score_mode=kind)
    layer.ensure_built([(None, *array.shape[1:]) for array in (query, value, key)])
    weights = [rng.normal(size=weight.shape) for weight in layer.get_weights()]
    layer.set_weights(weights)
    sums = query[:, :, None] + key[:, None]
    scores = {
        "dot": lambda: weights[0] * np.einsum("btd,bsd->bts", query, key),
        "concat": lambda: weights[1] * np.tanh(weights[0] * sums).sum(axis=-1),
        "additive": lambda: (weights[0] * np.tanh(sums)).sum(axis=-1),
    }[kind]()
    looks = np.tri(4, 5, dtype=bool) if causal else np.ones((4, 5), bool)
    mask = [rng.random((2, 4)) > 0.5, rng.random((2, 5)) > 0.5] if masked else None
    if mask is not None:
        mask[1][:, 0] = True
        looks = looks & mask[1][:, None]
    spread = softmax(np.where(looks, scores, -np.inf))
    expected = spread @ value
    if mask is not None:
        expected = expected * mask[0][..., None]
    tensors = [torch.from_numpy(array.astype(np.float32)) for array in (query, value, key)]
    given = None if mask is None else [torch.from_numpy(item) for item in mask]
    with torch.no_grad():
        answer, shown = layer.eval()(tensors, mask=given, return_attention_scores=True, use_causal_mask=causal)
    np.testing.assert_allclose(answer.numpy(), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(shown.numpy(), spread, atol=1e-6)


any_layer: Any = L.Dense


@pytest.mark.parametrize("layer", [L.LSTM, L.GRU, L.SimpleRNN])
def test_the_arguments_that_recurrent_layers_share_are_written_down_once(layer: Any) -> None:
    """Their signatures list them, so that messages and configs do."""
    assert DEFAULTS.keys() == Extras.__annotations__.keys() - BaseArguments.__annotations__.keys()
    taken = inspect.signature(layer.__init__).parameters
    assert {name: taken[name].default for name in DEFAULTS} == DEFAULTS
    config = layer(3, dropout=0.25, return_state=True).get_config()
    assert list(config) == ["name", *list(taken)[1:-1]]
    assert (config["dropout"], config["return_state"], config["use_bias"]) == (0.25, True, True)


# -- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: L.LSTM(3, stateful=True), "initial_state="),
        (lambda: L.LSTM(0), "units"),
        (lambda: L.GRU(3, dropout=1.0), "dropout"),
        (lambda: L.Bidirectional(any_layer(3)), "recurrent layer"),
        (lambda: L.Bidirectional(L.LSTM(3), "max"), "merge_mode"),
        (lambda: L.Bidirectional(L.LSTM(3), backward_layer=L.LSTM(3)), "go_backwards"),
        (lambda: L.MultiHeadAttention(2, 3, attention_axes=(1, 2)), "attention_axes"),
        (lambda: L.MultiHeadAttention(2, 3)(tp.Input((5, 4))), "query and a value"),
        (lambda: L.Attention()(tp.Input((5, 4))), "list"),
        (lambda: L.LSTM(3)(tp.Input((4,))), "3 dimensions"),
        (lambda: L.LSTM(3)(tp.Input((5, None))), "features"),
        (lambda: L.LSTM(3)(torch.zeros(2, 5, 4), initial_state=[torch.zeros(2, 3)]), "2 states"),
        (lambda: L.LSTM(3)(torch.zeros(2, 5, 4), initial_state=[torch.zeros(2, 4)] * 2), "[batch, 3]"),
        (lambda: L.LSTM(3)(tp.Input((5, 4)), states=1), "'states'"),
        (lambda: L.LSTM(3)(tp.Input((5, 4)), initial_state=[tp.Input((4,))] * 2), "[batch, 3]"),
        (lambda: L.GRU(3)(torch.zeros(2, 5, 4), initial_state=torch.zeros(1, 3)), "2 sequences"),
        (lambda: L.GRU(3)(torch.zeros(2, 5, 4), mask=torch.ones(2, 4)), "mask [batch, steps]"),
        (lambda: L.Bidirectional(L.GRU(3))(tp.Input((5, 4)), initial_state=tp.Input((3,))), "2 states"),
        (lambda: tp.Sequential([tp.Input((5, 4)), L.LSTM(3, return_state=True), L.Dense(2)]), "one input, received 3"),
    ],
)
def test_what_cannot_be_meant_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError) as error:
        make()
    assert message in str(error.value)


@pytest.mark.parametrize("make", [L.LSTM, L.GRU, L.SimpleRNN, lambda units: L.Bidirectional(L.LSTM(units))])
def test_sequences_of_another_width_are_refused_where_torch_would_read_beyond_the_weights(make: Any) -> None:
    layer = make(3)
    layer(torch.zeros(2, 5, 4))
    for wrong in (torch.zeros(2, 5, 3), torch.zeros(2, 4)):
        with pytest.raises(UsageError, match=r"\[batch, steps, 4\]"):
            layer(wrong)


def test_a_layer_without_a_kernel_needs_its_number_of_steps_to_be_captured() -> None:
    free = tp.Sequential([tp.Input((None, 4)), L.LSTM(3, activation="relu", name="reader")])
    assert free.predict(np.zeros((2, 5, 4))).shape == (2, 3)
    with pytest.raises(ModelError, match="TP203") as error:
        free.to_graph()
    assert "reader" in str(error.value) and "activation='relu'" in str(error.value) and "Input" in str(error.value)


def test_a_layer_that_is_not_here_names_its_like() -> None:
    with pytest.raises(AttributeError, match="Conv2D"):
        L.ConvLSTM2D  # noqa: B018
