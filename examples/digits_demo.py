"""Train a small CNN on scanned digits, take it to three ports, and compare every answer.

    make demo            or    python examples/digits_demo.py --out dist/digits

The data are scikit-learn's digits: 1,797 scans of handwritten digits, 8x8 pixels, 0 to 16. A fifth is held back; on it
every port must give the digit that the float64 reference gives, and numbers within the promised bound.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import triport as tp
from triport.exporter.graph import DType
from triport.exporter.reference import run_graph
from triport.runtime_checks.runners import get_runner

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
layers = tp.layers

# Runtime → what it is called in the table, and the artefact it runs.
PORTS = {
    "onnxruntime": ("server: ONNX Runtime", "model.onnx"),
    "litert": ("mobile: LiteRT", "model.tflite"),
    "node": ("browser: Node", "web"),
    "chromium": ("browser: headless Chromium", "web"),
}


@dataclass(frozen=True)
class Row:
    """One line of the table; accuracy and agreement as fractions, latency in ms for one image."""

    port: str
    size: int
    accuracy: float
    worst: float
    agreement: float
    latency: float
    clock: str


def digits() -> tuple[Images, Images, Labels, Labels]:
    """Training images, test images [n, 8, 8, 1] in 0 … 16, training labels, test labels; 1,437 and 360 of them."""
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(
        images.reshape(-1, 8, 8, 1).astype(np.float32),
        labels.astype(np.int64),
        test_size=360,
        stratify=labels,
        random_state=0,
    )
    train_x, test_x, train_y, test_y = split
    return train_x, test_x, train_y, test_y


def digits_cnn() -> tp.Sequential:
    """A CNN of 20,000 parameters that takes the scans as they are."""
    return tp.Sequential(
        [
            tp.Input((8, 8, 1), name="image"),
            layers.Rescaling(1 / 16),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.25),
            layers.Dense(10, activation="softmax", name="digit"),
        ],
        name="digits",
    )


def artefact_bytes(path: Path) -> int:
    """The size of a file, or of what a page fetches from a bundle (the page itself and the all-in-one file apart)."""
    if path.is_file():
        return path.stat().st_size
    return sum((path / name).stat().st_size for name in ("index.js", "weights.bin"))


def measure(runtime: str, folder: Path, images: Images, labels: Labels, truth: npt.NDArray[np.float64]) -> Row | str:
    """Runs the test images through one port; a text says why it could not be run here."""
    port, artefact = PORTS[runtime]
    runner = get_runner(runtime)
    missing = runner.missing()
    if missing:
        return f"{missing.what}; {missing.install}"
    with runner.load(folder / artefact) as session:
        (name,) = session.inputs
        (scores,) = session.run({name: images}).values()
        latency = min(session.timed({name: images[:1]}, repeats=5)) * 1e3
        clock = session.clock.value
    best, told = truth.argmax(axis=1), scores.argmax(axis=1)
    return Row(
        port,
        artefact_bytes(folder / artefact),
        float((told == labels).mean()),
        float(np.abs(scores.astype(np.float64) - truth).max()),
        float((told == best).mean()),
        latency,
        clock,
    )


def table_of(rows: dict[str, Row | str], accuracy: float) -> Table:
    table = Table(title=f"360 held-back digits; the reference in float64 reads {accuracy:.2%} of them rightly")
    for heading in ("port", "bytes", "accuracy", "max |difference|", "same digit", "ms an image"):
        table.add_column(heading, justify="left" if heading == "port" else "right", overflow="fold")
    for runtime, row in rows.items():
        if isinstance(row, str):
            table.add_row(PORTS[runtime][0], "", "", "", "", "not verified")
            continue
        table.add_row(
            row.port,
            f"{row.size:,}",
            f"{row.accuracy:.2%}",
            f"{row.worst:.1e}",
            f"{row.agreement:.2%}",
            f"{row.latency:.3f} {row.clock}",
        )
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description="train on scanned digits, export to three ports, compare them all")
    parser.add_argument("--out", type=Path, default=Path("dist/digits"), help="folder to export to")
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    started = time.monotonic()

    train_x, test_x, train_y, test_y = digits()
    tp.set_seed(0)
    model = digits_cnn()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(
        train_x, train_y, batch_size=32, epochs=arguments.epochs, validation_data=(test_x, test_y), verbose="auto"
    )

    model.describe(labels=list("0123456789"), preprocessing=tp.Preprocessing(range=(0, 16), channels="grey"))

    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / "digits.triport"
    model.save(file)
    graph = tp.Graph.load(file)  # from here on only the portable graph is used
    ports = arguments.out / "ports"
    report = tp.export(graph, ports, to=["onnx", "tflite", "web"], samples={"image": test_x}, runners=list(PORTS))

    truth = run_graph(graph, {"image": test_x}, dtype=DType.FLOAT64)["digit"].astype(np.float64)
    accuracy = float((truth.argmax(axis=1) == test_y).mean())
    rows = {runtime: measure(runtime, ports, test_x, test_y, truth) for runtime in PORTS}

    console.print(table_of(rows, accuracy))
    for row in rows.values():
        if isinstance(row, str):
            console.print(f"not verified: {row}")
    bound = report.limits["digit"].bound
    wrong = [row.port for row in rows.values() if isinstance(row, Row) and (row.agreement < 1 or row.worst > bound)]
    if wrong or accuracy < 0.97:
        console.print(f"[red]failed[/]: {', '.join(wrong) or 'accuracy below 97 %'}")
        return 1
    console.print(f"every port agrees, within {bound:.1e}; {time.monotonic() - started:.0f} s in all")
    console.print("\nnext:")
    console.print(f"  .venv/bin/triport inspect {file}", highlight=False)
    console.print(f"  .venv/bin/triport verify {ports} --in chromium", highlight=False)
    console.print(f"  .venv/bin/triport export {file} --to tflite --out dist/mobile", highlight=False)
    console.print(f"demo page: open {(ports / 'web' / 'index.html').resolve()}", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
