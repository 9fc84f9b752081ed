"""compile, fit, evaluate, predict: what a user of Keras expects of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.utils.data import DataLoader, TensorDataset

import triport as tp

L = tp.layers
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(64, 5)).astype("float32"), RNG.integers(0, 3, size=64)


def classifier(loss: object = "sparse_categorical_crossentropy", metrics: object = ("accuracy",)) -> tp.Model:
    """Five features to three classes."""
    tp.set_seed(0)
    model = tp.Sequential([tp.Input((5,)), L.Dense(8, activation="relu"), L.Dense(3, activation="softmax")])
    model.compile("adam", loss, list(metrics) if isinstance(metrics, tuple) else metrics)
    return model


def test_the_first_example_of_introductions_runs() -> None:
    tp.set_seed(0)
    model = tp.Sequential([L.Dense(units=1, input_shape=[1])])
    model.compile(optimizer="sgd", loss="mean_squared_error")
    xs = np.array([-1.0, 0.0, 1.0, 2.0, 3.0, 4.0], dtype=float)
    ys = np.array([-3.0, -1.0, 1.0, 3.0, 5.0, 7.0], dtype=float)
    model.fit(xs, ys, epochs=500, verbose=0)
    answer = model.predict([10.0])
    assert answer.shape == (1, 1)
    assert answer[0, 0] == pytest.approx(19, abs=0.1)


def test_the_second_example_of_introductions_runs() -> None:
    tp.set_seed(0)
    model = tp.Sequential([L.Dense(16, activation="relu", input_shape=(10,)), L.Dense(1, activation="sigmoid")])
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    x = RNG.normal(size=(200, 10))
    y = (x.sum(axis=1) > 0).astype(int)
    history = model.fit(x, y, epochs=30, batch_size=16, validation_split=0.2, verbose=0)
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert history.epoch == list(range(30))
    assert history.history["val_accuracy"][-1] > 0.8


def test_a_small_cnn_learns_the_digits() -> None:
    digits = load_digits()
    images, labels = digits.images[..., None] / 16, digits.target
    train_x, test_x, train_y, test_y = train_test_split(images, labels, test_size=0.2, stratify=labels, random_state=0)
    tp.set_seed(0)
    model = tp.Sequential(
        [
            tp.Input((8, 8, 1)),
            L.Conv2D(16, 3, padding="same", activation="relu"),
            L.Conv2D(32, 3, padding="same", activation="relu"),
            L.MaxPooling2D(),
            L.Flatten(),
            L.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train_x, train_y, epochs=12, verbose=0)
    loss, accuracy = model.evaluate(test_x, test_y, verbose=0)
    assert accuracy >= 0.97
    predicted = model.predict(test_x)
    assert predicted.shape == (360, 10) and predicted.dtype == np.float32
    assert (predicted.argmax(-1) == test_y).mean() == pytest.approx(accuracy)
    assert -np.log(predicted[np.arange(360), test_y]).mean() == pytest.approx(loss, rel=1e-4)


def test_the_same_seed_gives_the_same_training() -> None:
    histories, weights = [], []
    for _ in range(2):
        model = classifier()
        histories.append(model.fit(X, Y, epochs=3, verbose=0).history)
        weights.append(model.get_weights())
    assert histories[0] == histories[1]
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))


def test_fit_does_what_a_plain_torch_loop_does() -> None:
    model, twin = classifier(), classifier()
    model.fit(X, Y, epochs=2, batch_size=16, shuffle=False, verbose=0)
    optimizer = torch.optim.Adam(twin.parameters(), lr=1e-3, eps=1e-7)
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    twin.train()
    for _ in range(2):
        for start in range(0, 64, 16):
            optimizer.zero_grad()
            loss = torch.nn.functional.nll_loss(twin(x[start : start + 16]).log(), y[start : start + 16])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, twin.state_dict()[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("form", ["dataset", "loader", "generator", "dict", "lists", "torch"])
def test_every_form_of_data_trains(form: str) -> None:
    model = classifier()
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    steps = None
    data: Any
    target: Any
    if form == "dataset":
        data, target = TensorDataset(x, y), None
    elif form == "loader":
        data, target = DataLoader(TensorDataset(x, y), batch_size=16), None
    elif form == "generator":
        data, target, steps = ((X[i : i + 8], Y[i : i + 8]) for _ in range(2) for i in range(0, 64, 8)), None, 8
    else:
        data = {"dict": {"input": X}, "lists": X.tolist(), "torch": x}[form]
        target = y if form == "torch" else Y.tolist() if form == "lists" else Y
    history = model.fit(data, target, epochs=2, steps_per_epoch=steps, verbose=0)
    assert len(history.history["loss"]) == 2
    assert history.history["loss"][1] < history.history["loss"][0]
    assert model.example_inputs is not None and model.example_inputs["input"].shape == (2, 5)


def test_a_generator_that_is_exhausted_says_so() -> None:
    batches = ((X[i : i + 8], Y[i : i + 8]) for i in range(0, 64, 8))
    with pytest.raises(ValueError, match="no more batches"):
        classifier().fit(batches, epochs=2, verbose=0)


def test_validation_data_and_split_hold_back_the_end() -> None:
    split = classifier().fit(X, Y, epochs=2, validation_split=0.25, shuffle=False, verbose=0)
    given = classifier().fit(X[:48], Y[:48], epochs=2, validation_data=(X[48:], Y[48:]), shuffle=False, verbose=0)
    assert split.history == given.history and "val_accuracy" in split.history


def test_sample_and_class_weights_weigh_the_loss() -> None:
    model = classifier(metrics=None)
    losses = np.array([model.test_on_batch(X[i : i + 1], Y[i : i + 1]) for i in range(64)])
    weights = RNG.uniform(0.1, 3, size=64)
    assert model.evaluate(X, Y, sample_weight=weights, batch_size=64, verbose=0) == pytest.approx(
        (losses * weights).mean()
    )
    by_class = {0: 0.5, 1: 2.0}
    expected = (losses * np.array([by_class.get(int(label), 1.0) for label in Y])).mean()
    history = model.fit(X, Y, class_weight=by_class, batch_size=64, verbose=0)
    assert history.history["loss"][0] == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_an_uneven_last_batch_is_weighed_by_its_size() -> None:
    model = classifier(metrics=None)
    whole = model.evaluate(X, Y, batch_size=64, verbose=0)
    assert model.evaluate(X, Y, batch_size=50, verbose=0) == pytest.approx(whole, rel=1e-6)


def test_on_batch_methods_give_figures() -> None:
    model = classifier()
    before = model.test_on_batch(X, Y, return_dict=True)
    first = model.train_on_batch(X, Y)
    assert first == pytest.approx([before["loss"], before["accuracy"]], rel=1e-6)
    assert model.test_on_batch(X, Y, return_dict=True)["loss"] < before["loss"]
    np.testing.assert_allclose(model.predict_on_batch(X), model.predict(X), rtol=1e-6)


def test_predict_is_the_same_in_batches_of_any_size_and_leaves_the_mode() -> None:
    model = tp.Sequential([tp.Input((5,)), L.Dropout(0.9), L.Dense(2)]).train()
    whole = model.predict(X, batch_size=64)
    np.testing.assert_allclose(model.predict(X, batch_size=7), whole, rtol=1e-6)
    np.testing.assert_allclose(model.predict(iter([X[:30], X[30:]])), whole, rtol=1e-6)
    assert model.training


def test_regularizers_join_the_loss_but_not_the_metrics() -> None:
    tp.set_seed(0)
    model = tp.Sequential([L.Dense(3, activation="softmax", kernel_regularizer=tp.regularizers.L2(0.1), input_dim=5)])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["sparse_categorical_crossentropy"])
    loss, plain = model.evaluate(X, Y, batch_size=64, verbose=0)
    assert loss - plain == pytest.approx(0.1 * float((model.get_weights()[0] ** 2).sum()), rel=1e-5)


def test_frozen_layers_stay_as_they_are() -> None:
    model = classifier()
    model.layers[0].trainable = False
    before = model.get_weights()
    model.fit(X, Y, epochs=2, verbose=0)
    after = model.get_weights()
    assert np.array_equal(before[0], after[0]) and not np.array_equal(before[2], after[2])
    model.layers[0].trainable = True
    model.fit(X, Y, verbose=0)
    assert not np.array_equal(after[0], model.get_weights()[0])


def two_outputs() -> tp.Model:
    """Two inputs, a class and a number."""
    tp.set_seed(0)
    row, extra = tp.Input((5,), name="row"), tp.Input((2,), name="extra")
    hidden = L.Dense(8, activation="relu")(L.Concatenate()([row, extra]))
    kind = L.Dense(3, activation="softmax", name="kind")(hidden)
    size = L.Dense(1, name="size")(hidden)
    return tp.Model([row, extra], [kind, size])


def test_several_outputs_have_losses_and_metrics_of_their_own() -> None:
    model = two_outputs()
    model.compile(
        "adam",
        loss={"kind": "sparse_categorical_crossentropy", "size": "mse"},
        metrics={"kind": ["accuracy"], "size": ["mae"]},
        loss_weights={"size": 0.5},
    )
    data = {"row": X, "extra": X[:, :2]}
    target = {"kind": Y, "size": X[:, 0]}
    history = model.fit(data, target, epochs=2, verbose=0, validation_split=0.25).history
    names = ["loss", "kind_loss", "size_loss", "kind_accuracy", "size_mae"]
    assert list(history) == names + [f"val_{name}" for name in names]
    assert history["loss"][1] == pytest.approx(history["kind_loss"][1] + 0.5 * history["size_loss"][1], rel=1e-5)
    by_position = model.evaluate([X, X[:, :2]], [Y, X[:, 0]], verbose=0)
    assert model.metrics_names == names and len(by_position) == 5
    kind, size = model.predict([X, X[:, :2]])
    assert kind.shape == (64, 3) and size.shape == (64, 1)


def test_progress_talks_on_stderr_as_verbose_asks(capfd: pytest.CaptureFixture[str]) -> None:
    model = classifier()
    model.fit(X, Y, epochs=2, verbose=0)
    assert capfd.readouterr() == ("", "")
    model = classifier()
    model.fit(X, Y, epochs=2, verbose=2)
    out, err = capfd.readouterr()
    assert out == "" and err.startswith("training on ") and "Epoch 2/2" in err and "accuracy" in err
    assert len(err.strip().splitlines()) == 3
    model.fit(X, Y, epochs=1, verbose=1)
    assert "samples/s" in capfd.readouterr().err
