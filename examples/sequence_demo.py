"""Four readers of sequences - LSTM, GRU, bidirectional, transformer block - trained and taken to three ports.

    python examples/sequence_demo.py --out dist/sequences

The data are scikit-learn's digits, 1,797 scans of 8x8 pixels, read as sequences: 8 rows from top to bottom, 8 numbers
each. Batch and number of rows are free in every artefact: after the export each port is asked about the upper seven
rows too, and has to answer as the model does.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import triport as tp
from triport.runtime_checks.runners import get_runner

Rows = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
layers = tp.layers

RUNTIMES = {"onnxruntime": "model.onnx", "litert": "model.tflite", "node": "web"}
BATCH = 32


class TransformerBlock(tp.Layer):
    """Attention and a small network, each with a short cut around it and a normalisation behind it."""

    def __init__(self, width: int, heads: int, hidden: int, rate: float = 0.1, **base: Any) -> None:
        super().__init__(**base)
        self.width, self.heads, self.hidden, self.rate = width, heads, hidden, rate
        self.attention = layers.MultiHeadAttention(heads, width // heads)
        self.network = tp.Sequential([layers.Dense(hidden, activation="relu"), layers.Dense(width)])
        self.first, self.second = layers.LayerNormalization(), layers.LayerNormalization()
        self.dropout = layers.Dropout(rate)

    def call(self, x: Any) -> Any:
        """x [batch, steps, width] → y of the same shape"""
        x = self.first(x + self.dropout(self.attention(x, x)))
        return self.second(x + self.dropout(self.network(x)))


class Places(tp.Layer):
    """Adds what was learnt about each place: attention itself knows no order."""

    def __init__(self, longest: int, width: int, **base: Any) -> None:
        super().__init__(**base)
        self.longest, self.width = longest, width
        self.table = layers.Embedding(longest, width)

    def call(self, x: Any) -> Any:
        """x [batch, steps, width] → y of the same shape, at most ``longest`` steps"""
        return x + self.table(torch.arange(x.shape[1], device=x.device))


def lstm(x: Any) -> Any:
    return layers.LSTM(128)(x)


def gru(x: Any) -> Any:
    return layers.GRU(64)(x)


def bidirectional(x: Any) -> Any:
    return layers.Bidirectional(layers.LSTM(48))(x)


def transformer(x: Any) -> Any:
    x = TransformerBlock(64, 4, 128)(Places(16, 64)(layers.Dense(64)(x)))
    return layers.GlobalAveragePooling1D()(TransformerBlock(64, 4, 128)(x))


READERS: dict[str, Callable[[Any], Any]] = {
    "lstm": lstm,
    "gru": gru,
    "bidirectional": bidirectional,
    "transformer": transformer,
}


def rows_of_digits() -> tuple[Rows, Rows, Labels, Labels]:
    """Training rows, test rows [n, 8, 8] in 0 … 16, training labels, test labels; 1,437 and 360 of them."""
    images, labels = load_digits(return_X_y=True)
    rows = images.reshape(-1, 8, 8).astype(np.float32)
    split = train_test_split(rows, labels.astype(np.int64), test_size=360, stratify=labels, random_state=0)
    train_x, test_x, train_y, test_y = split
    return train_x, test_x, train_y, test_y


def reader(name: str) -> tp.Model:
    """A classifier of sequences of any number of rows."""
    rows = tp.Input((None, 8), name="rows")
    body = READERS[name](layers.Rescaling(1 / 16)(rows))
    return tp.Model(rows, layers.Dense(10, activation="softmax", name="digit")(body), name=name)


def answers(folder: Path, rows: Rows) -> dict[str, npt.NDArray[np.float64]]:
    """What each runtime that is here says about rows: {runtime: scores [n, 10]}."""
    found = {}
    for runtime, artefact in RUNTIMES.items():
        runner = get_runner(runtime)
        if runner.missing() is None:
            with runner.load(folder / artefact) as session:
                (scores,) = session.run({"rows": rows}).values()
                found[runtime] = scores.astype(np.float64)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="train four readers of sequences and export them to three ports")
    parser.add_argument("--out", type=Path, default=Path("dist/sequences"), help="folder to export to")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--only", choices=READERS, action="append", help="one reader; may be given again")
    arguments = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    train_x, test_x, train_y, test_y = rows_of_digits()
    table = Table(title="360 held-back digits, read row by row")
    for heading in ("reader", "parameters", "seconds to train", "accuracy", "max |difference|", "with seven rows"):
        table.add_column(heading, justify="left" if heading == "reader" else "right", overflow="fold")
    failed = []
    for name in arguments.only or READERS:
        tp.set_seed(0)
        model = reader(name)
        rate = tp.schedules.CosineDecay(8e-3, arguments.epochs * -(-len(train_x) // BATCH))
        model.compile(tp.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
        started = time.monotonic()
        model.fit(train_x, train_y, batch_size=BATCH, epochs=arguments.epochs, verbose=0)
        seconds = time.monotonic() - started
        folder = arguments.out / name
        tp.export(model, folder, to=["onnx", "tflite", "web"], samples={"rows": test_x})  # raises where a port differs
        whole, upper = model.predict(test_x), model.predict(test_x[:, :7])
        accuracy = float((whole.argmax(axis=1) == test_y).mean())
        worst = max(float(np.abs(scores - whole).max()) for scores in answers(folder, test_x).values())
        shorter = max(float(np.abs(scores - upper).max()) for scores in answers(folder, test_x[:, :7]).values())
        table.add_row(
            name, f"{model.count_params():,}", f"{seconds:.1f}", f"{accuracy:.2%}", f"{worst:.1e}", f"{shorter:.1e}"
        )
        if accuracy < 0.95 or max(worst, shorter) > 1e-5:
            failed.append(name)
    console.print(table)
    if failed:
        console.print(f"[red]failed[/]: {', '.join(failed)}")
        return 1
    console.print("every port agrees")
    return 0


if __name__ == "__main__":
    sys.exit(main())
