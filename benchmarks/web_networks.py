"""The networks that the browser benchmark runs, and their files for every runtime in build/web.

Weights are drawn from one seed; batch norms have statistics as after training. A network's folder holds `web/` (ours),
`model.onnx` (images channels first, as ONNX has them), `model.tflite` and `tfjs/` (both channels last), `web-int8/`,
and the input as `input.bin`.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import int8_networks
import numpy as np
from int8_data import Array
from peer_networks import NETWORKS as PEER_NETWORKS
from peer_networks import PeerNetwork, RecurrentClassifier
from torch import nn

if TYPE_CHECKING:
    from triport import Graph

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "web"


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))


def lenet() -> nn.Module:
    """LeNet-5 as it is written today, with relu and max-pools."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def transformer() -> nn.Module:
    """Four layers with weights of their own: torch's encoder copies those of one, and some formats store them once."""
    return nn.Sequential(
        *(nn.TransformerEncoderLayer(256, 4, 1024, activation="gelu", batch_first=True) for _ in range(4))
    )


NETWORKS: dict[str, PeerNetwork] = {
    "MLP": PeerNetwork(mlp, (1, 784)),
    "LeNet": PeerNetwork(lenet, (1, 1, 28, 28)),
    "MobileNetV2": PEER_NETWORKS["MobileNetV2"],
    "transformer": PeerNetwork(transformer, (1, 64, 256)),
    "LSTM": PeerNetwork(lambda: RecurrentClassifier(nn.LSTM), (1, 50, 64)),
    "ResNet-18": PEER_NETWORKS["ResNet-18"],
    "U-Net": PEER_NETWORKS["U-Net"],
}
"""The U-Net takes 128 x 128 cells and begins with 16 channels; the other two on images take 224 x 224."""

SMALL = tuple(f"small {name}" for name in int8_networks.NETWORKS)
"""The networks of int8_networks.py, untrained: int8 is measured on them too."""


def folder_of(name: str) -> Path:
    return FOLDER / name.lower().replace(" ", "-")


def input_of(name: str) -> Array:
    """One input, images channels first where the network was written so."""
    if name in NETWORKS:
        return np.asarray(NETWORKS[name].example().numpy())
    network = int8_networks.NETWORKS[name.removeprefix("small ")]
    return _random((1, *network.shape), 1)


@dataclass(frozen=True)
class Net:
    """A network with its files.

    entry    name of the only input
    shape    of it, as our bundle takes it
    given    … and as the network was written, images channels first
    answer   torch's, of the first output; empty for the small networks
    """

    name: str
    folder: Path
    entry: str
    shape: tuple[int, ...]
    given: tuple[int, ...]
    answer: Array


def write(name: str, *, peers: bool) -> Net:
    """Writes the network's folder anew, with the files of other runtimes where they are asked for."""
    import torch

    import triport as tp
    from triport.exporter.passes.fix_sizes import fix_sizes

    folder = folder_of(name)
    x = input_of(name)
    images = x.ndim == 4 and name in NETWORKS
    graph = _kept(folder / "model.triport", lambda: _captured(name, "nhwc" if images else None))
    (folder / "input.bin").write_bytes(np.ascontiguousarray(x.transpose(0, 2, 3, 1) if images else x).tobytes())
    _export(graph, folder, ["web"])
    if peers:
        _export(fix_sizes(graph, {"batch": 1}), folder, ["tflite"])  # LiteRT.js wants every size fixed
        _write_graph_model(graph, folder / "tfjs")
        (folder / "input.nchw.bin").write_bytes(x.tobytes())
        first = _kept(folder / "nchw.triport", lambda: _captured(name, None)) if images else graph
        _export(first, folder, ["onnx"])
    calibration = {graph.inputs[0].name: _calibration(graph, name)}
    quantized = _kept(folder / "int8.triport", lambda: tp.quantize(graph, "int8", calibration=calibration))
    _export(quantized, folder, ["web"], "int8")
    last = (x.shape[0], *x.shape[2:], x.shape[1]) if images else x.shape
    answer = NETWORKS[name].made()(torch.from_numpy(x)).detach().numpy().ravel() if name in NETWORKS else np.empty(0)
    return Net(name, folder, graph.inputs[0].name, last, x.shape, answer)


def _export(graph: Graph, folder: Path, ports: list[str], what: str = "") -> None:
    """Moves the artefacts of an export into the network's folder."""
    import triport as tp

    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    tp.export(graph, work, to=ports, verify=False)
    for artefact in ("web", "model.onnx", "model.tflite"):
        made, place = work / artefact, folder / (f"{artefact}-{what}" if what else artefact)
        if made.exists():
            shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
            made.rename(place)
    shutil.rmtree(work)


def _write_graph_model(graph: Graph, folder: Path) -> None:
    """For TF.js."""
    from triport.targets.prepare import prepare
    from triport.targets.tfjs import TfjsTarget

    shutil.rmtree(folder, ignore_errors=True)
    target = TfjsTarget()
    target.write(prepare(graph, target), folder, {})


def _captured(name: str, layout: str | None) -> Graph:
    import torch

    import triport as tp

    if name in NETWORKS:
        network = NETWORKS[name]
        return tp.capture(network.made(), network.example(), name=name, input_layout=layout)
    small = int8_networks.NETWORKS[name.removeprefix("small ")]
    tp.set_seed(0)
    model = small.build()
    for layer in model.modules():
        if isinstance(layer, tp.layers.Normalization):
            layer.adapt(_random((64, *small.shape), 2))
    return tp.capture(model.eval(), torch.from_numpy(_random((2, *small.shape), 3)), name=name)


def _calibration(graph: Graph, name: str) -> Array:
    rows = 16 if name.startswith("small ") or name in ("MLP", "LeNet") else 2
    return _random((rows, *(int(str(dim)) for dim in graph.inputs[0].type.shape[1:])), 4)


def _random(shape: tuple[int, ...], seed: int) -> Array:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def _kept(path: Path, make: Callable[[], Graph]) -> Graph:
    """The graph in ``path``, made anew when what makes it has changed since."""
    import triport as tp

    stamp = path.with_suffix(".stamp")
    now = _sources()
    if not path.exists() or not stamp.exists() or stamp.read_text() != now:
        path.parent.mkdir(parents=True, exist_ok=True)
        make().save(path)
        stamp.write_text(now)
    return tp.Graph.load(path)


def _sources() -> str:
    """A hash of what decides about a captured or quantized graph."""
    files = [
        *(ROOT / "exporter").rglob("*.py"),
        *(ROOT / "quantize").rglob("*.py"),
        *Path(__file__).parent.glob("*networks.py"),
    ]
    whole = hashlib.sha256()
    for file in sorted(files):
        whole.update(file.read_bytes())
    return whole.hexdigest()
