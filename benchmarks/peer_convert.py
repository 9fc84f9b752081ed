"""Converts the networks of peer_networks.py with one tool, in that tool's own environment.

    .venv/bin/python benchmarks/peer_convert.py triport build/peers [NETWORK ...]
    .venv-peers/torch/bin/python benchmarks/peer_convert.py torch.onnx build/peers [NETWORK ...]
    .venv-peers/torch/bin/python benchmarks/peer_convert.py litert-torch build/peers [NETWORK ...]
    .venv-peers/onnx2tf/bin/python benchmarks/peer_convert.py onnx2tf build/peers [NETWORK ...]

onnx2tf reads what torch.onnx wrote. A line of JSON a network says how it went: seconds of CPU and the files, or what
was raised. Peers fix the batch at 1; triport leaves it free.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any


def triport(name: str, folder: Path) -> list[Path]:
    """Both ports; of images a second file that takes them as [batch, height, width, channels]."""
    import triport as tp

    network = _network(name)
    image = len(network.shape) == 4
    paths = []
    for layout, kinds in ((None, ("onnx", "tflite")), ("nhwc", ("tflite",)))[: 1 + image]:
        graph = tp.capture(network.made(), network.example(), input_layout=layout)
        with tempfile.TemporaryDirectory() as work:
            dist = Path(work) / "dist"
            tp.export(graph, dist, to=kinds, verify=False)
            for kind in kinds:
                paths.append(folder / f"{file_name(name)}.triport{'.nhwc' if layout else ''}.{kind}")
                shutil.move(dist / f"model.{kind}", paths[-1])
    return paths


def torch_onnx(name: str, folder: Path) -> list[Path]:
    """torch.onnx.export(dynamo=True) with its optimizer."""
    import torch

    network = _network(name)
    # torch's fused transformer layer has no ONNX form; the exporter's own advice is to turn it off.
    torch.backends.mha.set_fastpath_enabled(False)
    path = folder / f"{file_name(name)}.torch.onnx.onnx"
    program = torch.onnx.export(network.made(), (network.example(),), dynamo=True, verbose=False)
    assert program is not None
    program.save(str(path))
    return [path]


def litert_torch(name: str, folder: Path) -> list[Path]:
    """litert_torch.convert of the module as it is: images stay channels first."""
    import torch

    converter: Any = importlib.import_module("litert_torch")
    network = _network(name)
    torch.backends.mha.set_fastpath_enabled(False)
    path = folder / f"{file_name(name)}.litert-torch.tflite"
    converter.convert(network.made(), (network.example(),)).export(str(path))
    return [path]


def onnx2tf(name: str, folder: Path) -> list[Path]:
    """onnx2tf of torch.onnx's file; images become channels last, its default, sequences keep their axes."""
    import numpy as np
    from onnx import load

    converter: Any = importlib.import_module("onnx2tf")
    source = folder / f"{file_name(name)}.torch.onnx.onnx"
    # It tries every image network on photographs, which it downloads unless they lie here: noise does as well.
    os.chdir(folder)
    photographs = Path("calibration_image_sample_data_20x128x128x3_float32.npy")
    if not photographs.exists():
        np.save(photographs, np.random.default_rng(0).random((20, 128, 128, 3), np.float32))
    given = load(str(source), load_external_data=False).graph.input[0]
    images = len(given.type.tensor_type.shape.dim) == 4
    work = folder / f"{file_name(name)}.onnx2tf"
    converter.convert(
        input_onnx_file_path=str(source),
        output_folder_path=str(work),
        keep_shape_absolutely_input_names=None if images else [given.name],
        copy_onnx_input_output_names_to_tflite=True,
        non_verbose=True,
    )
    path = folder / f"{file_name(name)}.onnx2tf.tflite"
    shutil.move(next(work.glob("*_float32.tflite")), path)
    shutil.rmtree(work)
    return [path]


def _network(name: str) -> Any:
    from peer_networks import NETWORKS

    return NETWORKS[name]


TOOLS: dict[str, Callable[[str, Path], list[Path]]] = {
    "triport": triport,
    "torch.onnx": torch_onnx,
    "litert-torch": litert_torch,
    "onnx2tf": onnx2tf,
}


def file_name(name: str) -> str:
    return name.lower().replace(" ", "-")


def main() -> None:
    tool, out, *names = sys.argv[1:]
    folder = Path(out).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the tools print is talk
    for name in names:
        start = time.process_time()
        result: dict[str, object] = {"network": name}
        try:
            result["files"] = [str(path) for path in TOOLS[tool](name, folder)]
        except (Exception, SystemExit) as error:  # noqa: BLE001  (whatever stops a tool is a result here)
            first = next((line for line in str(error).splitlines() if line.strip()), "")
            result["error"] = f"{type(error).__name__}: {first}"[:300]
        result["seconds"] = round(time.process_time() - start, 2)
        report.write(json.dumps(result) + "\n")
        report.flush()


if __name__ == "__main__":
    main()
