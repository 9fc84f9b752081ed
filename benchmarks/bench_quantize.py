"""What quantizing costs, and how true it stays to float32, beside ONNX Runtime's own quantize_static.

    .venv/bin/python benchmarks/bench_quantize.py [--rounds 3] [--images 100]

MobileNetV2 and ResNet-18 for pictures of 224x224 with random weights, calibrated on random pictures: float32 noise, and
for the last column noise of bytes. Ours reads the .triport file, calibrates, and writes all three ports, by default and
with the options that keep most; ONNX Runtime's reads our float32 .onnx file and writes one. Each runs in a process of
its own, its imports not counted: CPU seconds, and the peak of memory over the process before. A
second table has the bytes of all three ports, of a bundle those that a page fetches.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from bench_int8 import PORTS, size
from networks import FOLDER
from rich.console import Console
from rich.table import Table

import triport as tp

NETWORKS = ("MobileNetV2", "ResNet-18")
WEIGHTS = ("int8-weights", "int4-weights")
"""Schemes that leave activations in float32."""
FINEST = "… with what keeps most"
CHECKED = 16
"""Pictures on which the outputs are compared."""

# What both processes begin with: pictures one at a time, made when they are asked for; and the peak of memory.
_COMMON = """
import re, sys, time
from pathlib import Path
import numpy as np
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
def images(count):
    random = np.random.default_rng(0)
    for _ in range(count):
        shape = (1, 3, 224, 224)
        if kind == "bytes":
            yield {name: ((random.integers(0, 256, shape) - 127.5) / 73.9).astype(np.float32)}
        else:
            yield {name: random.normal(size=shape).astype(np.float32)}
source, folder, name, count, kind = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5]
"""

_OURS = """
import onnxruntime, torch
import triport as tp
from triport import quantize
idle, start = peak(), time.process_time()
quantized = tp.quantize(tp.Graph.load(source), "int8", calibration=OPTIONS)
tp.export(quantized, folder, to=("onnx", "tflite", "web"), verify=False)
"""

_DEFAULT = _OURS.replace("OPTIONS", "images(count)")
_FINEST = _OURS.replace(
    "OPTIONS", 'list(images(count)), observer="mse", recover="affine", input_bits=12 if kind == "noise" else 8'
)
"""What keeps most: bytes are no finer than 8 bits."""

_THEIRS = """
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
class Reader(CalibrationDataReader):
    def __init__(self):
        self.images = images(count)
    def get_next(self):
        return next(self.images, None)
idle, start = peak(), time.process_time()
quantize_static(
    str(source), str(folder / "model.onnx"), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
)
"""

_REPORT = """
print(time.process_time() - start, peak() - idle)
"""


def run(code: str, source: Path, folder: Path, name: str, images: int, kind: str = "noise") -> tuple[float, float]:
    """CPU seconds and bytes over the idle process."""
    folder.mkdir(parents=True, exist_ok=True)
    child = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _COMMON + code + _REPORT, source, folder, name, str(images), kind],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    seconds, peak = map(float, child.stdout.split()[-2:])
    return seconds, peak


def decibels(exact: Path, rounded: Path, name: str, kind: str) -> float:
    """Signal to quantization noise of the second file beside the first, in ONNX Runtime."""
    import onnxruntime

    random = np.random.default_rng(1)
    shape = (CHECKED, 3, 224, 224)
    x = random.normal(size=shape) if kind == "noise" else (random.integers(0, 256, shape) - 127.5) / 73.9
    x = x.astype(np.float32)
    signal, other = (
        np.concatenate([session.run(None, {name: x[i : i + 1]})[0] for i in range(CHECKED)])
        for session in (onnxruntime.InferenceSession(str(path)) for path in (exact, rounded))
    )
    return float(10 * np.log10((signal**2).mean() / ((signal - other) ** 2).mean()))


def saved(name: str) -> tuple[Path, str]:
    """The network's .triport file, made on first use, and the name of its input."""
    import torch
    from torch_networks import NETWORKS as TORCH_NETWORKS

    path = FOLDER / f"{name.lower()}_normalized.triport"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        tp.set_seed(0)
        network = TORCH_NETWORKS[name]
        model = network.build().train()
        with torch.no_grad():  # batch norms that know what they get, or nothing of the picture arrives at the end
            for layer in model.modules():
                if isinstance(layer, torch.nn.BatchNorm2d):
                    layer.momentum = None
            model(torch.randn(CHECKED, 3, 224, 224))
        tp.capture(model.eval(), network.example(), name=path.stem).save(path)
    return path, tp.Graph.load(path).inputs[0].name


def sizes(whole: Path, folders: dict[str, Path]) -> list[list[str]]:
    """A line for each form of a network: its name, and megabytes with their ratio to float32's for each port."""
    lines = [["float32", *(f"{size(whole, port) / 1e6:.2f}" for port in PORTS)]]
    for form, folder in folders.items():
        pairs = [(size(folder, port), size(whole, port)) for port in PORTS]
        lines.append([form, *(f"{small / 1e6:.2f} ({small / large:.3f})" for small, large in pairs)])
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=100)
    options = parser.parse_args()
    table = Table(title=f"{options.images} pictures; CPU s: least / median of {options.rounds}")
    for heading in ("network", "tool", "seconds", "peak, MB", "with 4x the pictures", "SQNR, dB", "of bytes"):
        table.add_column(heading)
    bytes_table = Table(title="MB; in brackets beside float32")
    for heading in ("network", "form", *PORTS):
        bytes_table.add_column(heading)
    for network in NETWORKS:
        source, name = saved(network)
        with tempfile.TemporaryDirectory() as scratch:
            work = Path(scratch)
            tp.export(source, work / "float32", to=PORTS, verify=False)
            for scheme in WEIGHTS:
                tp.export(tp.quantize(tp.Graph.load(source), scheme), work / scheme, to=PORTS, verify=False)
            exact = work / "float32" / "model.onnx"
            tools = {
                "triport, three ports": (_DEFAULT, source),
                FINEST: (_FINEST, source),
                "quantize_static, one": (_THEIRS, exact),
            }
            found: dict[str, list[tuple[float, float]]] = {tool: [] for tool in tools}
            for _ in range(options.rounds):
                for tool, (code, given) in tools.items():
                    found[tool].append(run(code, given, work / tool, name, options.images))
            for tool, (code, given) in tools.items():
                seconds, peaks = zip(*found[tool], strict=True)
                noise = decibels(exact, work / tool / "model.onnx", name, "noise")
                _, more = run(code, given, work / tool, name, 4 * options.images) if tool != FINEST else (0, None)
                run(code, given, work / tool, name, options.images, "bytes")
                table.add_row(
                    network,
                    tool,
                    f"{min(seconds):.1f} / {statistics.median(seconds):.1f}",
                    f"{max(peaks) / 1e6:.0f}",
                    "" if more is None else f"{more / 1e6:.0f}",
                    f"{noise:.1f}",
                    f"{decibels(exact, work / tool / 'model.onnx', name, 'bytes'):.1f}",
                )
            forms = {"int8": work / next(iter(tools))} | {scheme: work / scheme for scheme in WEIGHTS}
            for line in sizes(work / "float32", forms):
                bytes_table.add_row(network, *line)
    Console(width=120).print(table)
    Console(width=120).print(bytes_table)


if __name__ == "__main__":
    main()
