"""The channels-last CNNs that the benchmarks measure, as .triport files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch.nn import Module

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "bench"

sys.path.insert(0, str(ROOT / "examples"))


def _digits_cnn() -> tuple[Module, tuple[int, ...]]:
    from digits_demo import digits_cnn

    return digits_cnn(), (1, 8, 8, 1)


def _lenet() -> tuple[Module, tuple[int, ...]]:
    import triport as tp

    layers = tp.layers
    model = tp.Sequential(
        [
            tp.Input((28, 28, 1), name="image"),
            layers.Conv2D(6, 5, padding="same", activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Conv2D(16, 5, activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(120, activation="tanh"),
            layers.Dense(84, activation="tanh"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    return model, (1, 28, 28, 1)


def _mobilenet_v2() -> tuple[Module, tuple[int, ...]]:
    from mobilenet_v2 import mobilenet_v2

    return mobilenet_v2(), (1, 224, 224, 3)


NETWORKS: dict[str, Callable[[], tuple[Module, tuple[int, ...]]]] = {
    "digits CNN": _digits_cnn,
    "LeNet": _lenet,
    "MobileNetV2 1.0 224": _mobilenet_v2,
}


def saved(name: str) -> Path:
    """The network's .triport file with random weights; made on first use."""
    path = FOLDER / f"{name.split()[0].lower()}.triport"
    if not path.exists():
        import triport as tp

        tp.set_seed(0)
        FOLDER.mkdir(parents=True, exist_ok=True)
        model, shape = NETWORKS[name]()
        example = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
        tp.capture(model, example, name=path.stem).save(path)
    return path
