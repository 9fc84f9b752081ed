"""How `fit` compares with a hand-written torch loop: the same network, data, optimizer and batches.

    python benchmarks/bench_fit.py [--rounds 15] [--epochs 4] [--threads 1]

Both sides train the same small CNN on 8x8 images in batches of 32, in turns, so that a slower minute of the machine
hits both. The hand-written loop is plain NCHW torch: nn.Conv2d, F.cross_entropy, tensors indexed in batches, accuracy
counted on the device; once with torch's default Adam and once with its fused kernel, which `fit` takes by itself.
Printed: CPU time of an epoch (best and median of all rounds) and the ratios.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

import triport as tp

BATCH = 32


def data() -> tuple[np.ndarray, np.ndarray]:
    """The 1,797 digits as [samples, 8, 8, 1] in 0..1, and their classes."""
    digits = load_digits()
    return (digits.images[..., None] / 16).astype(np.float32), digits.target.astype(np.int64)


def hand_written(x: np.ndarray, y: np.ndarray, fused: bool | None) -> Callable[[int], float]:
    """A function that trains for some epochs and returns the last accuracy."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, eps=1e-7, fused=fused)
    images, labels = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(y)

    def train(epochs: int) -> float:
        accuracy = 0.0
        for _ in range(epochs):
            net.train()
            order = torch.randperm(len(images))
            loss_sum, correct = torch.zeros(()), torch.zeros((), dtype=torch.int64)
            for start in range(0, len(images), BATCH):
                index = order[start : start + BATCH]
                batch, target = images[index], labels[index]
                optimizer.zero_grad()
                output: Tensor = net(batch)
                loss = F.cross_entropy(output, target)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                loss_sum += loss.detach() * len(index)
                correct += (output.detach().argmax(dim=1) == target).sum()
            accuracy = correct.item() / len(images)
        return accuracy

    return train


def with_fit(x: np.ndarray, y: np.ndarray) -> Callable[[int], float]:
    """The same through `Sequential.fit`."""
    tp.set_seed(0)
    layers = tp.layers
    model = tp.Sequential(
        [
            tp.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ]
    )
    loss = tp.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])

    def train(epochs: int) -> float:
        history = model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0)
        return history.history["accuracy"][-1]

    return train


def main() -> None:
    """Runs both in turns and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    x, y = data()
    sides = {
        "loop": hand_written(x, y, fused=None),
        "loop, fused Adam": hand_written(x, y, fused=True),
        "fit": with_fit(x, y),
    }
    for train in sides.values():
        train(2)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    accuracy = {}
    for _ in range(options.rounds):
        for name, train in sides.items():
            start = time.process_time()
            accuracy[name] = train(options.epochs)
            seconds[name].append((time.process_time() - start) / options.epochs)
    for name, values in seconds.items():
        best, median = min(values) * 1e3, statistics.median(values) * 1e3
        print(
            f"{name:16} {best:7.1f} ms best  {median:7.1f} ms median of an epoch's CPU, accuracy {accuracy[name]:.4f}"
        )
    for name in ("loop", "loop, fused Adam"):
        best = min(seconds["fit"]) / min(seconds[name])
        median = statistics.median(seconds["fit"]) / statistics.median(seconds[name])
        print(f"fit / {name}: {best:.3f} best, {median:.3f} median")


if __name__ == "__main__":
    main()
