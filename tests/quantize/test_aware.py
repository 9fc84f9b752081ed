"""Quantization-aware training: it learns, and what it predicts is what the ports will give, to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import triport as tp
from triport.exporter.errors import UsageError

Task = tuple[tp.Sequential, np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def task() -> Task:
    tp.set_random_seed(0)
    layers = tp.layers
    model = tp.Sequential(
        [
            tp.Input((8, 8, 1), name="image"),
            layers.Conv2D(6, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3, activation="relu6"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 240)
    images = random.normal(size=(240, 8, 8, 1)).astype(np.float32) * 0.3
    images[np.arange(240), labels * 2 + 1, :, 0] += 1.0
    model.compile(tp.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    model.fit(images, labels, epochs=2, verbose=0)
    return model, images, labels


def test_training_goes_on_and_predictions_are_the_ports(task: Task, tmp_path: Path) -> None:
    model, images, labels = task
    aware = tp.quantize_aware(model, calibration={"image": images[:64]})
    aware.compile(tp.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    before = {name: tensor.detach().clone() for name, tensor in aware.named_parameters()}
    history = aware.fit(images, labels, epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert all(not np.array_equal(before[name], tensor.detach()) for name, tensor in aware.named_parameters())
    graph = aware.to_graph()
    (want,) = graph.run({"image": images}).values()
    assert np.array_equal(aware.predict(images), want)
    report = tp.export(aware, tmp_path / "out", to=["onnx", "tflite"], samples={"image": images[:64]})
    assert all(limit.tolerance.name == "EXACT" for limit in report.limits.values())


def test_ranges_follow_what_training_sees(task: Task) -> None:
    model, images, labels = task
    aware = tp.quantize_aware(model, calibration={"image": images[:64] * 0.1})
    name = next(iter(aware.plan.values))
    before = aware.plan.values[name].quantization.scale
    aware.compile(tp.optimizers.SGD(1e-6), "sparse_categorical_crossentropy")
    aware.fit(images, labels, epochs=2, verbose=0)
    assert aware.plan.values[name].quantization.scale > 1.1 * before


def test_it_is_saved_as_the_quantized_graph(task: Task, tmp_path: Path) -> None:
    model, images, _ = task
    aware = tp.quantize_aware(model, calibration={"image": images[:64]})
    aware.save(tmp_path / "q.triport")
    loaded = tp.Graph.load(tmp_path / "q.triport")
    (got,) = loaded.run({"image": images[:5]}).values()
    assert np.array_equal(got, aware.predict(images[:5]))
    with pytest.raises(UsageError, match="optimizer's state"):
        aware.save(tmp_path / "q.triport", include_optimizer=True)


def test_a_file_is_taken_and_what_is_no_model_is_told(task: Task, tmp_path: Path) -> None:
    model, images, _ = task
    model.to_graph().save(tmp_path / "m.triport")
    aware = tp.quantize_aware(str(tmp_path / "m.triport"), calibration=images[:40])
    assert np.array_equal(
        aware.predict(images[:9]), tp.quantize_aware(model, calibration=images[:40]).predict(images[:9])
    )
    no_model: Any = 3
    with pytest.raises(UsageError, match=r"expected a graph, a triport model or the path of a \.triport") as raised:
        tp.quantize_aware(no_model, calibration=images)
    assert raised.value.code == "TP001"
