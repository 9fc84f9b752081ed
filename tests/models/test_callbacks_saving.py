"""Callbacks during fit, and models in files."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

import triport as tp
from triport.exporter.errors import FormatError, UsageError

L, C = tp.layers, tp.callbacks
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(32, 4)).astype("float32"), RNG.normal(size=(32, 1)).astype("float32")


def model(rate: float = 0.1) -> tp.Model:
    tp.set_seed(0)
    made = tp.Sequential([tp.Input((4,)), L.Dense(4, activation="tanh"), L.BatchNormalization(), L.Dense(1)])
    made.compile(tp.optimizers.Adam(rate), "mse", metrics=["mae"])
    return made


class Fake(C.Callback):
    """Replaces a figure by a script, to steer the callbacks that watch it."""

    def __init__(self, values: list[float]) -> None:
        self.values = values

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        assert logs is not None
        logs["val_loss"] = self.values[epoch]


def test_early_stopping_waits_and_brings_the_best_weights_back() -> None:
    made, seen = model(), []
    stopping = C.EarlyStopping(patience=2, restore_best_weights=True)
    keep = C.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(made.get_weights()))
    history = made.fit(X, Y, epochs=9, verbose=0, callbacks=[Fake([5, 3, 4, 3, 1, 1, 1, 1, 1]), keep, stopping])
    assert len(history.epoch) == 4 and stopping.best_epoch == 1 and stopping.stopped_epoch == 3
    assert all(np.array_equal(a, b) for a, b in zip(made.get_weights(), seen[1], strict=True))


def test_a_figure_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match=r"'val_loss'.*\['loss', 'mae'\]"):
        model().fit(X, Y, verbose=0, callbacks=[C.EarlyStopping()])


def test_the_learning_rate_falls_on_a_plateau() -> None:
    made = model(1.0)
    plateau = C.ReduceLROnPlateau(factor=0.5, patience=2, min_lr=0.3)
    rates = made.fit(X, Y, epochs=7, verbose=0, callbacks=[Fake([1.0] * 7), plateau]).history["learning_rate"]
    assert rates == [1.0, 1.0, 1.0, 0.5, 0.5, 0.3, 0.3]


def test_the_learning_rate_follows_a_schedule_by_epoch() -> None:
    made = model()
    history = made.fit(X, Y, epochs=3, verbose=0, callbacks=C.LearningRateScheduler(lambda epoch, rate: rate / 2))
    assert history.history["learning_rate"] == pytest.approx([0.05, 0.025, 0.0125])
    assert made.optimizer.bound is not None and made.optimizer.bound.param_groups[0]["lr"] == pytest.approx(0.0125)


def test_training_ends_at_the_first_loss_that_is_no_number(capfd: pytest.CaptureFixture[str]) -> None:
    x = X.copy()
    x[20] = np.nan
    history = model().fit(x, Y, epochs=5, batch_size=8, shuffle=False, verbose=0, callbacks=[C.TerminateOnNaN()])
    assert len(history.epoch) == 1 and np.isnan(history.history["loss"][0])
    assert "Batch 2" in capfd.readouterr().err


def test_csv_lines_and_checkpoints_appear_as_asked(tmp_path: Path) -> None:
    made = model()
    log, pattern = tmp_path / "log.csv", str(tmp_path / "at{epoch:02d}-{mae:.2f}.triport")
    best = str(tmp_path / "best.triport")
    calls = [Fake([2.0, 3.0, 1.0]), C.ModelCheckpoint(pattern), C.ModelCheckpoint(best, save_best_only=True)]
    history = made.fit(X, Y, epochs=3, verbose=0, callbacks=[*calls, C.CSVLogger(log)]).history
    with log.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert [float(row["loss"]) for row in rows] == history["loss"]
    assert len(list(tmp_path.glob("at0*.triport"))) == 3
    assert np.array_equal(tp.load_model(best).predict(X), made.predict(X))


def test_callbacks_hear_batches_only_when_they_listen() -> None:
    class Listens(C.Callback):
        def __init__(self) -> None:
            self.losses: list[float] = []

        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            assert logs is not None and batch == len(self.losses)
            self.losses.append(logs["loss"])

    listener = Listens()
    history = model().fit(X, Y, batch_size=8, verbose=0, callbacks=listener)
    assert len(listener.losses) == 4 and listener.losses[-1] == pytest.approx(history.history["loss"][0])
    with pytest.raises(UsageError, match="Callback objects"):
        model().fit(X, Y, verbose=0, callbacks=[print])  # type: ignore[list-item]


def test_a_loaded_model_trains_on_as_if_it_had_never_been_saved(tmp_path: Path) -> None:
    made, path = model(), tmp_path / "model.triport"
    made.fit(X, Y, epochs=2, verbose=0)
    made.save(path, include_optimizer=True)
    loaded = tp.load_model(path)
    assert np.array_equal(loaded.predict(X), made.predict(X))
    for each in (made, loaded):
        torch.manual_seed(5)
        each.fit(X, Y, epochs=2, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(made.get_weights(), loaded.get_weights(), strict=True))
    assert loaded.history is not None and list(loaded.history.history) == ["loss", "mae"]
    assert loaded.optimizer.iterations == made.optimizer.iterations == 4


def test_without_the_optimizer_a_loaded_model_starts_its_state_anew(tmp_path: Path) -> None:
    made, path = model(), tmp_path / "model.triport"
    made.fit(X, Y, verbose=0)
    made.save(path)
    loaded = tp.load_model(path)
    assert loaded.optimizer.bound is None and loaded.optimizer.learning_rate == 0.1
    assert loaded.example_inputs is not None and made.example_inputs is not None
    np.testing.assert_array_equal(loaded.example_inputs["input"], made.example_inputs["input"])


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    made = model()
    made.fit(X, Y, verbose=0)
    made.save(tmp_path / "a.triport", include_optimizer=True)
    made.save(tmp_path / "b.triport", include_optimizer=True)
    assert (tmp_path / "a.triport").read_bytes() == (tmp_path / "b.triport").read_bytes()


def test_weights_that_inference_does_not_need_in_their_shape_survive(tmp_path: Path) -> None:
    image = tp.Input((4, 4, 2))
    x = L.PReLU("he_normal", shared_axes=[1, 2])(L.Conv2D(3, 3, padding="same")(image))
    made = tp.Model(image, L.Normalization(mean=[1.0, 2.0, 3.0], variance=1.0)(x))
    made.save(tmp_path / "m.triport")
    loaded = tp.load_model(tmp_path / "m.triport")
    for name, weight in made.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight), name


def test_a_model_with_code_saves_its_graph_and_says_what_is_missing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = tp.Sequential([tp.Input((4,)), L.Lambda(lambda x: x * 2, name="twice"), L.Dense(1)])
    made.save(tmp_path / "m.triport")
    assert 'Lambda "twice"' in capfd.readouterr().err
    with pytest.raises(UsageError, match="TP015"):
        tp.load_model(tmp_path / "m.triport")
    assert [value.name for value in tp.Graph.load(tmp_path / "m.triport").inputs] == ["input"]


def test_a_description_larger_than_the_files_weights_takes_no_memory(tmp_path: Path) -> None:
    made = model()
    graph = made.to_graph()
    graph.metadata["config"] = {
        "class": "Sequential",
        "config": {
            "name": "bomb",
            "input": {"name": "input", "shape": [4], "dtype": "float32"},
            "layers": [{"class": "Dense", "config": {"name": "dense", "units": 2**36}}],
        },
    }
    graph.save(tmp_path / "bomb.triport")
    with pytest.raises(FormatError, match=r"TP040.*dense\.weight. has shape"):
        tp.load_model(tmp_path / "bomb.triport")


def test_an_uncompiled_model_without_data_saves_and_loads(tmp_path: Path) -> None:
    inputs = tp.Input((None, 6), name="steps"), tp.Input((3,), dtype="int32", name="words")
    x = L.GlobalMaxPooling1D()(L.Conv1D(4, 3, padding="same")(inputs[0]))
    y = L.Flatten()(L.Embedding(9, 2)(inputs[1]))
    made = tp.Model(list(inputs), L.Concatenate()([x, y]))
    made.save(tmp_path / "m.triport")
    loaded = tp.load_model(tmp_path / "m.triport")
    data = {"steps": RNG.normal(size=(2, 11, 6)), "words": np.array([[1, 2, 3], [4, 5, 8]])}
    np.testing.assert_array_equal(loaded.predict(data), made.predict(data))
    assert loaded.setup is None
