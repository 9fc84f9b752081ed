"""Layers that a user writes as for Keras: ``call``, sublayers, no shapes announced."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from shape.source import ROOT

import triport as tp
from triport.exporter.errors import FormatError, UsageError

L = tp.layers


class TransformerBlock(tp.Layer):
    """Keras's text classification example, its import changed."""

    def __init__(self, embed_dim: int, num_heads: int, ff_dim: int, rate: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.embed_dim, self.num_heads, self.ff_dim, self.rate = embed_dim, num_heads, ff_dim, rate
        self.att = L.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.ffn = tp.Sequential([L.Dense(ff_dim, activation="relu"), L.Dense(embed_dim)])
        self.layernorm1 = L.LayerNormalization(epsilon=1e-6)
        self.layernorm2 = L.LayerNormalization(epsilon=1e-6)
        self.dropout1 = L.Dropout(rate)
        self.dropout2 = L.Dropout(rate)

    def call(self, inputs: Any, training: bool = False) -> Any:
        attended = self.dropout1(self.att(inputs, inputs), training=training)
        out1 = self.layernorm1(inputs + attended)
        return self.layernorm2(out1 + self.dropout2(self.ffn(out1), training=training))


class TokenAndPositionEmbedding(tp.Layer):
    def __init__(self, maxlen: int, vocab_size: int, embed_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sizes = (maxlen, vocab_size, embed_dim)
        self.token_emb = L.Embedding(input_dim=vocab_size, output_dim=embed_dim)
        self.pos_emb = L.Embedding(input_dim=maxlen, output_dim=embed_dim)

    def get_config(self) -> dict[str, Any]:
        maxlen, vocab_size, embed_dim = self.sizes
        return {**super().get_config(), "maxlen": maxlen, "vocab_size": vocab_size, "embed_dim": embed_dim}

    def call(self, x: Any) -> Any:
        return self.token_emb(x) + self.pos_emb(torch.arange(x.shape[-1], device=x.device))


class Announcing(TransformerBlock):
    """One that says its shape, as many do for Keras; what is inside it still has to be built."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


CLASSES = {"TransformerBlock": TransformerBlock, "TokenAndPositionEmbedding": TokenAndPositionEmbedding}


def reader() -> tp.Model:
    tokens = tp.Input((None,), dtype="int32", name="tokens")
    x = TransformerBlock(16, 2, 32)(TokenAndPositionEmbedding(20, 50, 16)(tokens))
    return tp.Model(tokens, L.Dense(2, activation="softmax")(L.GlobalAveragePooling1D()(x)))


def test_a_transformer_block_trains_is_saved_and_goes_to_every_port_with_a_free_length(tmp_path: Path) -> None:
    model = reader()
    assert [layer.output.shape for layer in model.layers[:2]] == [(None, None, 16)] * 2
    tokens = np.random.default_rng(0).integers(1, 50, (200, 10)).astype(np.int32)
    labels = (tokens[:, 0] > 25).astype(int)
    tp.set_seed(0)
    model.compile("adam", "sparse_categorical_crossentropy")
    losses = model.fit(tokens, labels, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "reader.triport")
    with pytest.raises(FormatError, match="custom_objects"):
        tp.load_model(tmp_path / "reader.triport")
    again = tp.load_model(tmp_path / "reader.triport", custom_objects=CLASSES)
    for length in (1, 3, 17):
        some = np.resize(tokens, (3, length))
        np.testing.assert_array_equal(again.predict(some), model.predict(some))
    report = tp.export(tmp_path / "reader.triport", tmp_path / "ports", to=["onnx", "tflite", "web"])
    assert all(runtime is not None and runtime.status.value == "verified" for _, runtime in report.rows())
    graph = tp.Graph.load(tmp_path / "reader.triport")
    long = np.resize(tokens, (3, 17))
    np.testing.assert_allclose(np.asarray(graph.run({"tokens": long})["dense"], float), model.predict(long), atol=1e-5)


def test_call_is_told_whether_it_trains() -> None:
    class Told(tp.Layer):
        def call(self, x: Any, training: bool = False) -> Any:
            return x + 1 if training else x

    layer = Told()
    assert layer.train()(torch.zeros(1, 2)).sum() == 2
    assert layer.eval()(torch.zeros(1, 2)).sum() == 0
    assert layer(torch.zeros(1, 2), training=True).sum() == 2


def test_the_shape_of_a_layer_that_announces_none_is_seen() -> None:
    class Fold(tp.Layer):
        def call(self, x: Any, y: Any, scale: float = 1.0) -> Any:
            return {"mean": (x * scale).mean(dim=1), "both": torch.cat([x, y], dim=1)}

    x, y = tp.Input((None, 4)), tp.Input((3, 4))
    seen = Fold()(x, y, scale=2.0)
    assert seen["mean"].shape == (None, 4) and seen["both"].shape == (None, None, 4)
    model = tp.Model([x, y], [seen["mean"], seen["both"]])
    mean, both = model.predict([np.ones((2, 5, 4)), np.ones((2, 3, 4))])
    assert both.shape == (2, 8, 4) and (mean == 2).all()

    class Mean(tp.Layer):
        def call(self, x: Any) -> Any:
            return x.mean(dim=1)

    assert tp.Sequential([tp.Input((None, 4)), Mean(), L.Dense(2)]).output_shape == (None, 2)


def test_a_call_that_fails_on_every_size_names_the_layer_and_torchs_reason() -> None:
    class Odd(tp.Layer):
        def call(self, x: Any) -> Any:
            return x @ torch.zeros(9, 9)

    with pytest.raises(UsageError, match="Odd") as error:
        Odd()(tp.Input((5,)))
    assert "test_custom_layers.py:" in str(error.value) and "9x9" in str(error.value)


def test_call_in_a_subclass_of_a_layer_replaces_what_it_inherits() -> None:
    class Doubled(L.Dense):
        def call(self, x: Any) -> Any:
            return super().forward(x) * 2

    layer = Doubled(3, use_bias=False, kernel_initializer="ones")
    assert (layer(torch.ones(1, 4)) == 8).all()


class Linear(tp.Layer):
    """The first layer of Keras's guide to layers of one's own."""

    def __init__(self, units: int = 32, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: Any) -> None:
        self.w = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="random_normal", regularizer="l2", trainable=True
        )
        self.b = self.add_weight(shape=(self.units,), initializer="zeros")
        self.total = self.add_weight(shape=(self.units,), initializer="ones", trainable=False)
        self.kernel = self.w  # a second name for it

    def call(self, inputs: Any) -> Any:
        return torch.matmul(inputs, self.w) + self.b * self.total


def test_weights_are_called_as_the_layer_keeps_them_and_are_there_once(tmp_path: Path) -> None:
    x = tp.Input((4,))
    model = tp.Model(x, L.Dense(1)(Linear(3)(x)))
    layer = model.layers[0]
    assert {"w", "b", "total"} <= set(layer.state_dict()) and layer.kernel is layer.w
    assert layer.count_params() == 12 + 3 + 3
    assert [weight.shape for weight in layer.get_weights()] == [(4, 3), (3,), (3,)]
    assert [tuple(weight.shape) for _, weight in layer.penalties()] == [(4, 3)]
    model.compile("sgd", "mse")
    data = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    before = layer.get_weights()
    model.fit(data, data[:, :1], epochs=1, verbose=0)
    changed = [not np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True)]
    assert changed == [True, True, False]
    model.save(tmp_path / "linear.triport")
    again = tp.load_model(tmp_path / "linear.triport", custom_objects={"Linear": Linear})
    np.testing.assert_array_equal(again.predict(data), model.predict(data))


@pytest.mark.parametrize("functional", [False, True])
def test_a_layer_that_announces_its_shape_is_saved_with_what_is_inside_it(functional: bool, tmp_path: Path) -> None:
    x = tp.Input((None, 16))
    block = Announcing(16, 2, 32)
    model = tp.Model(x, block(x)) if functional else tp.Sequential([x, block])
    weights = len(block.get_weights())
    data = np.random.default_rng(0).normal(size=(2, 3, 16)).astype(np.float32)
    answer = model.predict(data)
    assert weights == len(block.get_weights()) == 16
    model.save(tmp_path / "block.triport")
    again = tp.load_model(tmp_path / "block.triport", custom_objects={"Announcing": Announcing})
    np.testing.assert_array_equal(again.predict(data), answer)


def test_a_layer_that_is_never_called_is_not_loaded_with_new_weights(tmp_path: Path) -> None:
    class Sparing(tp.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.used, self.unused = L.Dense(2), L.Dense(2)

        def call(self, x: Any) -> Any:
            return self.used(x)

    model = tp.Sequential([tp.Input((4,)), Sparing()])
    model.save(tmp_path / "sparing.triport")
    with pytest.raises(UsageError, match="unused"):
        tp.load_model(tmp_path / "sparing.triport", custom_objects={"Sparing": Sparing})


def test_an_argument_that_is_kept_nowhere_cannot_be_saved() -> None:
    class Forgetful(tp.Layer):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.times = factor

        def call(self, x: Any) -> Any:
            return x * self.times

    with pytest.raises(UsageError, match=r"self\.factor = factor"):
        Forgetful(2.0).get_config()


def test_states_go_from_layer_to_layer_by_keyword_and_survive_the_file(tmp_path: Path) -> None:
    """An encoder and a decoder; the state is an argument of a symbolic call."""
    source, target = tp.Input((None, 3), name="source"), tp.Input((None, 2), name="target")
    _, *states = L.LSTM(4, return_state=True, name="encoder")(source)
    y = L.LSTM(4, return_sequences=True, name="decoder")(target, initial_state=states)
    model = tp.Model([source, target], L.TimeDistributed(L.Dense(2))(y))
    rng = np.random.default_rng(0)
    data = [rng.normal(size=(3, 5, 3)).astype("f"), rng.normal(size=(3, 4, 2)).astype("f")]
    answer = model.predict(data)
    assert np.abs(model.predict([data[0] * 0, data[1]]) - answer).max() > 1e-3
    model.save(tmp_path / "seq.triport")
    np.testing.assert_array_equal(tp.load_model(tmp_path / "seq.triport").predict(data), answer)
    graph = tp.Graph.load(tmp_path / "seq.triport")
    assert [str(value.type.shape[1]) for value in graph.inputs] == ["source_steps", "target_steps"]
    named = dict(zip(("source", "target"), data, strict=True))
    np.testing.assert_allclose(np.asarray(graph.run(named)["time_distributed"], float), answer, atol=1e-6)
    report = tp.export(tmp_path / "seq.triport", tmp_path / "ports", to=["onnx", "tflite", "web"])
    assert all(runtime is not None and runtime.status.value == "verified" for _, runtime in report.rows())


def test_sequences_that_are_added_have_one_length() -> None:
    a, b = tp.Input((None, 3), name="a"), tp.Input((None, 3), name="b")
    graph = tp.Model([a, b], L.Add()([a, b])).to_graph()
    assert [str(value.type.shape[1]) for value in graph.inputs] == ["steps", "steps"]


def test_a_sequential_without_input_takes_other_lengths_and_refuses_what_a_layer_needs_fixed() -> None:
    model = tp.Sequential([L.Dense(3), L.GlobalAveragePooling1D()])
    assert model(torch.zeros(2, 5, 4)).shape == model(torch.zeros(2, 7, 4)).shape == (2, 3)
    fixed = tp.Sequential([L.Flatten(), L.Dense(3)])
    fixed(torch.zeros(2, 5, 4))
    with pytest.raises(UsageError):
        fixed(torch.zeros(2, 7, 4))


def test_the_page_lists_every_layer_and_its_block_runs() -> None:
    page = (ROOT / "docs" / "layers.md").read_text()
    names = set(re.findall(r"`(\w+)`", page))
    missing = [
        name for name in L.CLASSES if name not in names and not any(name.startswith(stem) for stem in stems(page))
    ]
    assert not missing
    scope: dict[str, Any] = {"tp": tp}
    exec(re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)[0], scope)
    x = tp.Input((None, 8))
    assert tp.Model(x, scope["Block"](8, 2)(x)).output_shape == (None, None, 8)


def stems(page: str) -> list[str]:
    """``MaxPooling`` of "`MaxPooling1D`, `2D`, `3D`"."""
    return re.findall(r"`(\w+)1D`, `2D`, `3D`", page)
