"""How many transposes are in the files: of each network, inside and at the border, against a hand-written file.

    python benchmarks/bench_transposes.py [--only NAME]

The networks are torch's, in channels first; TFLite and the browser compute in channels last. *Written* are the
transposes in the captured graph: the module's own. A transpose *at the border* turns an image that comes in or a map
that goes out; all others stand *inside*. In the browser's plan each is one strided copy.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import onnx
import torch
from rich.console import Console
from rich.table import Table
from torch_networks import NETWORKS, statistics_like_trained

import triport as tp
from triport.exporter.graph import Graph
from triport.exporter.ops import Transpose
from triport.targets.prepare import prepare
from triport.targets.registry import get_target
from triport.targets.tflite.schema import operator_names, schema

T = TypeVar("T", int, str)

PORTS = ("onnx", "tflite", "web")

HAND_WRITTEN: dict[str, tuple[int, str]] = {
    "MobileNetV2": (0, ""),
    "ResNet-18": (0, ""),
    "U-Net": (0, ""),
    "squeeze and excite": (0, ""),
    "ShuffleNet": (3, "one a shuffle"),
    "ViT-tiny": (24, "heads apart and together again: two a block"),
    "Swin": (9, "windows cut out, heads apart, both together again: three a block"),
    "ConvNeXt": (0, ""),
    "MobileViT": (6, "patches apart and together, and two a transformer block"),
    "encoder, 4 layers": (8, "two a layer"),
    "encoder, free length": (8, "two a layer"),
    "LSTM": (0, ""),
    "GRU": (0, ""),
    "Conv1D": (0, ""),
    "Conv1D and GRU": (0, ""),
    "heads": (0, ""),
}
"""The fewest inside a TFLite file that does the same, and what they are for.

Ours has two more a block of attention where queries, keys and values are computed apart: more, but quicker.
"""


@dataclass(frozen=True)
class Count:
    """Transposes in one file."""

    inside: int
    border: int

    def __str__(self) -> str:
        return f"{self.inside} + {self.border}"


def captured(name: str, module: torch.nn.Module | None = None, example: torch.Tensor | None = None) -> Graph:
    """The graph of a network of the catalog, or of a narrower one of the same make."""
    network = NETWORKS[name]
    torch.manual_seed(0)
    module = statistics_like_trained(network.build() if module is None else module)
    return tp.capture(module, network.example() if example is None else example, network.dynamic)


def in_files(graph: Graph) -> dict[str, Count]:
    """{port: transposes in what it writes}."""
    with tempfile.TemporaryDirectory() as folder:
        tp.export(graph, folder, PORTS, verify=False)
        return {
            "onnx": _in_onnx(Path(folder) / "model.onnx"),
            "tflite": _in_tflite(Path(folder) / "model.tflite"),
            "web": _in_plan(graph),
        }


def _in_tflite(path: Path) -> Count:
    model: Any = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    names = operator_names()
    counts: list[Count] = []
    for subgraph in model.subgraphs:
        operators = []
        for operator in subgraph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
            operators.append((name, int(operator.inputs[0]), int(operator.outputs[0])))
        counts.append(_count(operators, {*map(int, subgraph.inputs)}, {*map(int, subgraph.outputs)}))
    return Count(sum(count.inside for count in counts), sum(count.border for count in counts))


def _in_onnx(path: Path) -> Count:
    graph = onnx.load(str(path)).graph
    nodes = [(node.op_type.upper(), node.input[0], node.output[0]) for node in graph.node if node.input]
    return _count(nodes, {value.name for value in graph.input}, {value.name for value in graph.output})


def _in_plan(graph: Graph) -> Count:
    prepared = prepare(graph, get_target("web"))
    nodes = [
        (node.op.name.upper(), node.inputs[0].name, node.outputs[0].name) for node in prepared.nodes if node.inputs
    ]
    return _count(nodes, {value.name for value in prepared.inputs}, set(prepared.outputs))


def _count(nodes: Sequence[tuple[str, T, T]], inputs: set[T], outputs: set[T]) -> Count:
    """Transposes among (op, first operand, first output), in order; a reshape between one and the border hides none."""
    for op, x, y in nodes:
        if op == "RESHAPE" and x in inputs:
            inputs = inputs | {y}
    for op, x, y in reversed(nodes):
        if op == "RESHAPE" and y in outputs:
            outputs = outputs | {x}
    at_border = [x in inputs or y in outputs for op, x, y in nodes if op == "TRANSPOSE"]
    return Count(len(at_border) - sum(at_border), sum(at_border))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=NETWORKS, metavar="NAME", help="one network of the catalog")
    only = parser.parse_args().only
    console = Console(width=150)
    table = Table(title="transposes: inside + at the border")
    for heading in ("network", "written", *PORTS, "a hand-written .tflite, inside", "what for"):
        table.add_column(heading, justify="left" if heading in ("network", "what for") else "right")
    for name in [only] if only else NETWORKS:
        graph = captured(name)
        counts = in_files(graph)
        written = sum(isinstance(node.op, Transpose) for node in graph.nodes)
        least, what_for = HAND_WRITTEN[name]
        table.add_row(name, str(written), *(str(counts[port]) for port in PORTS), str(least), what_for)
    console.print(table)


if __name__ == "__main__":
    main()
