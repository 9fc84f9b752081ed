"""The main environment's side of `make compat`: artefacts of the test models, and the truth to compare them with.

    PYTHONPATH=tests:examples python -m compat.make_artefacts FOLDER

writes, for each model of float_models.py, what run.py describes. The truth is the float64 reference on batches of 1, 2
and 7; the bound is the one that every port is held to.

Op cases on codes, and a network of them, are written as ONNX files alone, and give the reference's integers there, too.
tflite-runtime 2.14.0 does not hand int8 to XNNPACK, and its own kernels round in another way; networks of the scheme
int8-strict give the same integers there as well.

Networks whose weights are stored in few bits are written for both; TFLite files with 4 bits need LiteRT 2.18.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from cases.quantized import CASES
from cases.quantized_network import quantized_images, quantized_network
from cases.stored_networks import NETWORKS, SCHEMES
from cases.strict_networks import FORMS, SHAPE, images, network

import triport as tp
from triport.exporter.graph import DType
from triport.exporter.reference import run_graph
from triport.runtime_checks.tolerance import CLOSE
from triport.targets.onnx import OnnxTarget
from triport.targets.prepare import prepare
from triport.targets.tflite import TFLiteTarget

from .float_models import MODELS, Array, example_inputs

BATCHES = (1, 2, 7)


def write_golden(graph: tp.Graph, path: Path, batches: list[dict[str, Array]]) -> None:
    """Inputs, float64 outputs and bounds of the `BATCHES` in one npz; see run.py for the names of its parts."""
    arrays: dict[str, Array] = {}
    for size, inputs in zip(BATCHES, batches, strict=True):
        exact = run_graph(graph, inputs, dtype=DType.FLOAT64)
        plain = run_graph(graph, inputs)
        for name, array in inputs.items():
            arrays[f"{size}/in/{name}"] = array
        for name, truth in exact.items():
            told = truth.astype(np.float64)
            own_error = float(np.abs(plain[name].astype(np.float64) - told).max())
            arrays[f"{size}/out/{name}"] = told
            bound = CLOSE.bound(float(np.ptp(told)), own_error, float(np.abs(told).max()))
            arrays[f"{size}/bound/{name}"] = np.array(bound)
    np.savez(path, allow_pickle=False, **arrays)


def unsettle(model: tp.Model, generator: np.random.Generator) -> None:
    """Moves the statistics and offsets that a new model has at 0 and 1, so that a port that drops one is noticed."""
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point() and bool((tensor == tensor.flatten()[:1]).all()):
                tensor += torch.from_numpy(generator.uniform(0.1, 0.6, tensor.shape).astype(np.float32))


def main(folder: Path) -> None:
    for name, build in MODELS.items():
        tp.set_seed(7)
        model = build()
        generator = np.random.default_rng(7)
        unsettle(model, generator)
        batches = [example_inputs(model, size, generator) for size in BATCHES]
        graph = tp.capture(model, batches[1])
        tp.export(graph, folder / name, to=["onnx", "tflite"])
        write_golden(graph, folder / name / "golden.npz", batches)
        print(f"wrote {name}")
    write_codes(folder)
    write_strict(folder)
    write_stored_weights(folder)


def write_codes(folder: Path) -> None:
    """The graphs over codes; nothing but the same bits is accepted."""
    target = OnnxTarget()
    graphs = [(case.name, case.graph(), case.inputs) for case in CASES]
    for io in (DType.FLOAT32, DType.INT8):
        graphs.append((f"network/{io.value}", quantized_network(io=io), partial(quantized_images, io=io)))
    for name, graph, inputs in graphs:
        place = folder / f"int8-{name.replace('/', '-')}"
        place.mkdir()
        target.write(prepare(graph, target), place / target.artefact, {})
        write_bits(graph, place, inputs)
    print(f"wrote {len(graphs)} graphs over int8 codes")


def write_strict(folder: Path) -> None:
    """The networks of strict_networks.py, whose integers every kernel of tflite-runtime gives, too."""
    calibration = np.random.default_rng(0).normal(0, 1, (64, *SHAPE)).astype(np.float32)
    for name in FORMS:
        graph = tp.quantize(network(name), "int8-strict", calibration={"x": calibration})
        place = folder / f"strict-{name.replace(' ', '-')}"
        place.mkdir()
        for target in (OnnxTarget(), TFLiteTarget()):
            target.write(prepare(graph, target), place / target.artefact, {})
        write_bits(graph, place, images)
    print(f"wrote {len(FORMS)} networks of scheme int8-strict")


def write_bits(graph: tp.Graph, place: Path, inputs: Callable[[int], dict[str, Array]]) -> None:
    """Inputs and outputs of all batches, of which no bit may differ."""
    arrays: dict[str, Array] = {}
    for size in BATCHES:
        given = inputs(size)
        arrays |= {f"{size}/in/{key}": array for key, array in given.items()}
        for key, array in run_graph(graph, given).items():
            arrays |= {f"{size}/out/{key}": array, f"{size}/bound/{key}": np.array(0.0)}
    np.savez(place / "golden.npz", allow_pickle=False, **arrays)


def write_stored_weights(folder: Path) -> None:
    """The networks of stored_networks.py in every scheme."""
    for name, (build, feeds) in NETWORKS.items():
        for scheme, (kind, block) in SCHEMES.items():
            graph = tp.quantize(build(), kind, block=block)
            place = folder / f"{name}-{scheme.replace(' ', '-')}"
            tp.export(graph, place, to=["onnx"] if kind == "int4-weights" else ["onnx", "tflite"])
            write_golden(graph, place / "golden.npz", [feeds(size) for size in BATCHES])
    print("wrote networks with weights in few bits")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
