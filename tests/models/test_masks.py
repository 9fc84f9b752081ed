"""Masks travel with their tensors as in Keras: padding changes nothing, wherever it stands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import triport as tp
from triport.exporter.errors import UsageError
from triport.exporter.models.layers import masks

L = tp.layers
Array = np.ndarray


def padded(rng: np.random.Generator) -> Array:
    """[6, 7] numbers from 1 to 19, zeros in front, behind, between, at both ends, everywhere, nowhere."""
    tokens = rng.integers(1, 20, (6, 7)).astype(np.int32)
    tokens[0, :3] = tokens[1, 4:] = tokens[2, [2, 4]] = tokens[3, [0, 6]] = tokens[4] = 0
    return tokens


def attention(x: Any) -> Any:
    return L.Add()([x, L.MultiHeadAttention(2, 4)(x, x)])


BODIES: dict[str, Callable[[Any], Any]] = {
    "lstm": lambda x: L.LSTM(8)(x),
    "gru_twice": lambda x: L.GRU(5)(L.Dropout(0.2)(L.GRU(8, return_sequences=True)(x))),
    "rnn": lambda x: L.SimpleRNN(8)(L.LayerNormalization()(x)),
    "bidirectional": lambda x: L.Bidirectional(L.LSTM(8))(x),
    "mean": lambda x: L.GlobalAveragePooling1D()(L.Dense(5, activation="relu")(x)),
    "attention": lambda x: L.GlobalAveragePooling1D()(attention(x)),
    "state": lambda x: L.Concatenate()(L.LSTM(4, return_state=True)(x)),
}


def reader(body: Callable[[Any], Any]) -> tp.Model:
    """Tokens of any number → embedding with padding → body → 3 numbers."""
    tokens = tp.Input((None,), dtype="int32", name="tokens")
    torch.manual_seed(3)
    return tp.Model(tokens, L.Dense(3)(body(L.Embedding(20, 6, mask_zero=True)(tokens)))).eval()


@pytest.mark.parametrize("name", BODIES)
def test_padding_changes_nothing_and_every_port_agrees(name: str, tmp_path: Path) -> None:
    model = reader(BODIES[name])
    tokens = padded(np.random.default_rng(0))
    answer = model.predict(tokens)
    for row, got in zip(tokens, answer, strict=True):
        if row.any():
            np.testing.assert_allclose(got, model.predict(row[row != 0][None])[0], atol=1e-6)
    report = tp.export(model, tmp_path, to=["onnx", "tflite", "web"], samples={"tokens": tokens})
    assert all(runtime is not None and runtime.status.value == "verified" for _, runtime in report.rows())


def test_without_mask_zero_padding_counts() -> None:
    model = tp.Sequential([tp.Input((None,), dtype="int32"), L.Embedding(20, 6), L.LSTM(8)])
    assert np.abs(model.predict(np.array([[5, 0, 0]])) - model.predict(np.array([[5]]))).max() > 1e-3


def test_masking_skips_steps_that_hold_its_value_alone() -> None:
    model = tp.Sequential([tp.Input((None, 2)), L.Masking(-1.0), L.GRU(4)])
    x = np.array([[[1, 2], [-1, -1], [3, -1]]], np.float32)
    np.testing.assert_allclose(model.predict(x), model.predict(x[:, [0, 2]]), atol=1e-6)


def test_the_loss_and_the_metrics_skip_padding_too() -> None:
    tokens = padded(np.random.default_rng(1))
    x = tp.Input((None,), dtype="int32")
    y = L.Dense(4, activation="softmax")(L.LSTM(5, return_sequences=True)(L.Embedding(20, 6, mask_zero=True)(x)))
    model = tp.Model(x, y)
    labels = np.random.default_rng(2).integers(0, 4, tokens.shape)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    loss, accuracy = model.evaluate(tokens, labels, batch_size=6, verbose=0)
    scores = model.predict(tokens)[tokens != 0]
    truth = labels[tokens != 0]
    assert loss == pytest.approx(-np.log(scores[np.arange(len(truth)), truth]).mean(), rel=1e-5)
    assert accuracy == pytest.approx((scores.argmax(axis=-1) == truth).mean())
    before = model.predict(tokens)
    model.fit(tokens, labels, epochs=1, verbose=0)
    assert np.abs(model.predict(tokens) - before).max() > 0


def test_masks_go_where_kerass_go() -> None:
    x = torch.arange(12.0).reshape(2, 3, 2)
    mask = torch.tensor([[True, False, True], [False, False, True]])
    other = torch.tensor([[True, True, False], [False, True, True]])

    def after(layer: tp.Layer, *inputs: Any) -> Any:
        return masks.of(layer(*inputs))

    one, two, bare = (masks.attach(x.clone(), item) for item in (mask, other, None))
    passing = (L.Dense(3), L.Dropout(0.5), L.Activation("relu"), L.LayerNormalization(), L.BatchNormalization())
    assert all(after(layer.eval(), one) is mask for layer in passing)
    dropping = (L.Conv1D(2, 1), L.Flatten(), L.Reshape((6,)), L.LSTM(3), L.Permute((2, 1)))
    assert all(after(layer, one) is None for layer in dropping)
    assert after(L.LSTM(3, return_sequences=True), one) is mask
    assert after(L.Dense(3), bare) is None
    assert torch.equal(after(L.Add(), [one, two]), mask & other)
    assert torch.equal(after(L.Add(), [one, bare]), mask)
    assert torch.equal(after(L.Concatenate(), [one, two]), mask | other)
    assert torch.equal(after(L.Concatenate(axis=1), [one, bare]), torch.cat([mask, torch.ones_like(mask)], 1))
    assert after(L.MultiHeadAttention(1, 2), one, two) is mask
    assert after(L.Attention(), [one, two]) is mask


def test_statistics_of_padding_are_refused() -> None:
    x = masks.attach(torch.zeros(2, 3, 2), torch.ones(2, 3, dtype=torch.bool))
    layer = L.BatchNormalization()
    layer.ensure_built((None, None, 2))
    with pytest.raises(UsageError, match="LayerNormalization"):
        layer.train()(x)
