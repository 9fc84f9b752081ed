"""The main environment's side of `make compat`: artefacts of the test models, and the truth to compare them with.

    python tests/compat/make_artefacts.py FOLDER

writes, for each model of models.py, what run.py describes. The truth is the float64 reference on batches of 1, 2 and 7;
the bound is the one that every port is held to.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from models import MODELS, example_inputs

import triport as tp
from triport.exporter.graph import DType
from triport.exporter.reference import run_graph

BATCHES = (1, 2, 7)


def write_golden(graph: tp.Graph, path: Path, batches: list[dict[str, np.ndarray]]) -> None:
    """Inputs, float64 outputs and bounds of the batches in one npz; see run.py for the names of its parts."""
    arrays: dict[str, np.ndarray] = {}
    for inputs in batches:
        size = len(next(iter(inputs.values())))
        exact = run_graph(graph, inputs, dtype=DType.FLOAT64)
        plain = run_graph(graph, inputs)
        for name, array in inputs.items():
            arrays[f"{size}/in/{name}"] = array
        for name, truth in exact.items():
            own_error = float(np.abs(plain[name].astype(np.float64) - truth).max())
            arrays[f"{size}/out/{name}"] = truth
            arrays[f"{size}/bound/{name}"] = np.float64(max(1e-5 * float(np.ptp(truth)), 4 * own_error))
    np.savez(path, **arrays)


def main(folder: Path) -> None:
    for name, build in MODELS.items():
        tp.set_seed(7)
        model = build()
        generator = np.random.default_rng(7)
        batches = [example_inputs(model, size, generator) for size in BATCHES]
        graph = tp.capture(model, batches[1])
        tp.export(graph, folder / name, to=["onnx", "tflite"])
        write_golden(graph, folder / name / "golden.npz", batches)
        print(f"wrote {name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
