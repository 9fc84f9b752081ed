"""Sequential and functional models: names, shapes, sharing, nesting, copies."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import triport as tp
from triport.exporter.errors import FormatError, UsageError
from triport.exporter.models.config import model_from_config, model_to_config

L = tp.layers


def small_cnn() -> tp.Model:
    """An image to three classes, layers unnamed."""
    image = tp.Input((8, 8, 1))
    x = L.Conv2D(4, 3, activation="relu")(image)
    x = L.Conv2D(4, 3)(x)
    x = L.GlobalAveragePooling2D()(x)
    return tp.Model(image, L.Dense(3)(x))


def test_building_twice_gives_the_same_names() -> None:
    first, second = small_cnn(), small_cnn()
    assert list(first.state_dict()) == list(second.state_dict())
    assert list(first.state_dict())[:3] == ["conv2d.weight", "conv2d.bias", "conv2d_1.weight"]
    assert first.input_names == ["input"] and first.output_names == ["dense"]
    names = [layer.name for layer in tp.Sequential([L.Dense(2), L.ReLU(), L.Dense(2), L.Conv2DTranspose(1, 1)]).layers]
    assert names == ["dense", "re_lu", "dense_1", "conv2d_transpose"]


def test_names_the_user_chose_are_kept_and_unique() -> None:
    image = tp.Input((5,), name="row")
    model = tp.Model(image, L.Dense(2, name="dense")(L.Dense(2)(image)))
    assert list(model.state_dict()) == ["dense_1.weight", "dense_1.bias", "dense.weight", "dense.bias"]
    with pytest.raises(UsageError, match="two layers are called 'a'") as error:
        tp.Sequential([L.Dense(2, name="a"), L.Dense(2, name="a")])
    assert "test_functional.py:" in str(error.value)
    for name in ("a.b", "a/b", ""):
        with pytest.raises(UsageError, match="TP012"):
            L.Dense(2, name=name)


def test_a_layer_called_output_is_captured_and_saved_like_any_other() -> None:
    row = tp.Input((3,), name="input")
    model = tp.Model(row, L.Dense(2, name="output")(row))
    graph = model.to_graph()
    assert list(graph.outputs) == ["output"] and [value.name for value in graph.inputs] == ["input"]
    with pytest.raises(UsageError, match="cannot be called 'fit'"):
        tp.Sequential([L.Dense(2, name="fit")])


def test_a_shared_layer_has_one_set_of_weights() -> None:
    shared = L.Dense(4, name="shared")
    a, b = tp.Input((3,), name="a"), tp.Input((3,), name="b")
    model = tp.Model([a, b], L.Subtract()([shared(a), shared(b)]))
    assert list(model.state_dict()) == ["shared.weight", "shared.bias"]
    x = torch.randn(2, 3)
    assert not model([x, x]).any()
    assert torch.equal(model(x, x + 1), model({"b": x + 1, "a": x}))
    assert torch.equal(model(x, x + 1), model(a=x, b=x + 1))


def test_models_nest_and_their_weights_are_called_after_the_path() -> None:
    encoder = tp.Sequential([L.Dense(4, activation="relu", input_shape=(3,)), L.Dense(2)], name="encoder")
    row = tp.Input((3,))
    model = tp.Model(row, L.Dense(1, name="head")(encoder(row)), name="whole")
    assert "encoder.dense_1.weight" in model.state_dict()
    assert model.get_layer("encoder").get_layer("dense").units == 4
    outer = tp.Sequential([model, L.Activation("sigmoid")])
    x = torch.randn(5, 3)
    torch.testing.assert_close(outer(x), torch.sigmoid(model(x)))
    assert outer.input_names == ["input"] and "whole.encoder.dense.weight" in outer.state_dict()


def test_dict_outputs_keep_their_names() -> None:
    row = tp.Input((3,), name="row")
    model = tp.Model({"row": row}, {"p": L.Dense(2)(row), "q": L.Dense(1)(row)})
    assert model.output_names == ["p", "q"] and model.input_names == ["row"]
    answer = model.predict({"row": np.zeros((4, 3))})
    assert {name: value.shape for name, value in answer.items()} == {"p": (4, 2), "q": (4, 1)}


def test_one_layer_may_give_two_outputs_and_they_are_told_apart() -> None:
    a, b, dense = tp.Input((3,)), tp.Input((3,)), L.Dense(2)
    model = tp.Model([a, b], [dense(a), dense(b)])
    assert model.output_names == ["dense", "dense_1"] and model.input_names == ["input", "input_1"]


def test_features_can_be_taken_from_the_middle() -> None:
    model = small_cnn()
    features = tp.Model(model.input, model.get_layer("conv2d_1").output)
    x = torch.randn(2, 8, 8, 1)
    expected = model.get_layer("conv2d_1")(model.get_layer("conv2d")(x))
    torch.testing.assert_close(features(x), expected)
    assert features.get_layer("conv2d") is model.get_layer("conv2d")
    sequential = tp.Sequential([L.Dense(4, input_shape=(3,)), L.Dense(2)])
    middle = tp.Model(sequential.inputs, sequential.layers[0].output)
    assert middle.output_shape == (None, 4)


def test_arithmetic_on_symbolic_tensors_becomes_layers() -> None:
    a, b = tp.Input((3,), name="a"), tp.Input((3,), name="b")
    model = tp.Model([a, b], (2 * a - b) / 4 + 1 - a * b)
    x, y = torch.randn(2, 3), torch.randn(2, 3)
    torch.testing.assert_close(model(x, y), (2 * x - y) / 4 + 1 - x * y)


def test_an_inner_model_called_with_training_false_stays_in_eval() -> None:
    inner = tp.Sequential([L.Dropout(0.9, input_shape=(50,))])
    row = tp.Input((50,))
    model = tp.Model(row, inner(row, training=False)).train()
    x = torch.ones(2, 50)
    assert torch.equal(model(x), x)
    assert inner.training
    assert not torch.equal(inner(x, training=True), x)


def test_sequential_builds_on_its_first_data_and_can_change() -> None:
    model = tp.Sequential([L.Conv2D(2, 3), L.Flatten()])
    model.add(L.Dense(3))
    assert not model.built and model.state_dict() == {}
    assert model(torch.zeros(2, 5, 5, 1)).shape == (2, 3)
    assert model.count_params() == 2 * 9 + 2 + 18 * 3 + 3
    assert model.pop().units == 3
    model.add(L.Dense(7))
    assert model(torch.zeros(2, 5, 5, 1)).shape == (2, 7) and model.output_shape == (None, 7)


def test_input_layers_go_by_all_their_names() -> None:
    for start in (L.Input((3,)), L.Input(shape=(3,)), L.InputLayer(input_shape=(3,)), tp.Input(batch_shape=(None, 3))):
        assert tp.Sequential([start, L.Dense(2)]).input_specs[0].shape == (None, 3)


def test_embedding_first_takes_integers() -> None:
    model = tp.Sequential([L.Embedding(20, 4), L.GlobalAveragePooling1D(), L.Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy")
    model.fit(np.arange(20).reshape(4, 5), np.array([0, 1, 0, 1]), verbose=0)
    assert model.input_specs[0].dtype == "int32" and model.input_specs[0].shape == (None, 5)


def test_torch_modules_stand_among_the_layers() -> None:
    model = tp.Sequential([tp.Input((6,)), torch.nn.Linear(6, 4), torch.nn.ReLU(), L.Dense(2)])
    assert model.output_shape == (None, 2) and next(iter(model.state_dict())) == "linear.module.weight"
    model.compile("sgd", "mse")
    model.fit(np.zeros((8, 6)), np.zeros((8, 2)), verbose=0)
    with pytest.raises(UsageError, match='TorchModule "linear" holds'):
        model_to_config(model)


def test_plain_torch_works_on_a_model() -> None:
    model = small_cnn()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = torch.randn(16, 8, 8, 1), torch.randint(0, 3, (16,))
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_a_deep_model_copies_and_pickles() -> None:
    row = x = tp.Input((4,))
    for _ in range(300):
        x = L.Dense(4)(x)
    model = tp.Model(row, x)
    inputs = torch.randn(2, 4)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(inputs), model(inputs))
        assert twin.layers[0] is not model.layers[0]
        assert twin.outputs[0].shape == (None, 4)


def test_descriptions_of_whole_models_come_back() -> None:
    inner = tp.Sequential([L.Dense(3, input_shape=(3,)), L.Dropout(0.5)], name="inner")
    a, b = tp.Input((3,), name="a"), tp.Input((3,), name="b", dtype="int32")
    shared = L.Dense(3, kernel_initializer=tp.initializers.HeNormal(seed=4), kernel_regularizer="l2")
    x = L.Add()([shared(a), shared(inner(a, training=False))])
    model = tp.Model([a, b], {"p": x, "q": L.Embedding(5, 2)(b)})
    model.get_layer("inner").trainable = False
    again = model_from_config(model_to_config(model))
    again.load_state_dict(model.state_dict())
    assert model_to_config(again) == model_to_config(model)
    inputs = {"a": torch.randn(2, 3), "b": torch.ones(2, 3, dtype=torch.int32)}
    for name, value in model.eval()(inputs).items():
        assert torch.equal(again.eval()(inputs)[name], value)
    assert len(again.trainable_weights) == len(model.trainable_weights) == 3


def test_descriptions_that_do_not_fit_are_refused() -> None:
    good = model_to_config(tp.Sequential([L.Dense(3, input_shape=(3,))]))

    def changed(**layer: object) -> dict[str, object]:
        return {"class": "Sequential", "config": {**good["config"], "layers": [layer]}}

    dense = good["config"]["layers"][0]["config"]
    deep: object = 1
    for _ in range(100):
        deep = [deep]
    bad: list[dict[str, Any]] = [
        changed(**{"class": "Lambda", "config": {"function": "x"}}),
        changed(**{"class": "os.system", "config": {}}),
        changed(**{"class": "Dense", "config": {**dense, "units": -1}}),
        changed(**{"class": "Dense", "config": {**dense, "units": 2**50}}),
        changed(**{"class": "Dense", "config": {**dense, "color": 1}}),
        changed(**{"class": "Dense", "config": {**dense, "activation": "no"}}),
        changed(**{"class": "Dense", "config": {**dense, "bias_regularizer": deep}}),
        {"class": "Sequential", "config": {}},
        {"class": "Dense", "config": dense},
        {"config": {}},
    ]
    for config in bad:
        with pytest.raises(FormatError, match="TP040"):
            model_from_config(config)


def test_summary_lists_shapes_and_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    model = small_cnn()
    model.summary()
    printed = capsys.readouterr().out
    assert (
        "conv2d_1 (Conv2D)" in printed and "(None, 6, 6, 4)" in printed and "Total parameters: 203 (812 B)" in printed
    )
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    assert lines[0].strip() == printed.strip()
    assert model.count_params() == 203


def test_a_subclassed_model_trains() -> None:
    class Two(tp.Model):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = L.Dense(4, activation="relu")
            self.out = L.Dense(1)

        def call(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.out(self.hidden(x))
            return y

    model = Two()
    model.compile("sgd", "mse")
    model.fit(np.zeros((8, 3)), np.zeros((8, 1)), verbose=0)
    assert list(model.state_dict()) == ["hidden.weight", "hidden.bias", "out.weight", "out.bias"]
    assert model.predict(np.zeros((2, 3))).shape == (2, 1)
