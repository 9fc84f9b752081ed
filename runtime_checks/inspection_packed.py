"""What a browser folder around a runtime from npm says of itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..exporter.errors import FormatError
from ..targets.packed.packings import FACTS, INSTALLED, Packing
from .inspection import Summary, counted, described, inspect, limits_in, read_json

MAX_BYTES = 64 * 2**20
"""Golden samples take kilobytes; model.json holds the nodes of a graph model."""


def inspect_packed(path: Path, packing: Packing) -> Summary:
    """The folder; ops and weights are those of the file that the runtime gets."""
    facts = read_json(path / FACTS, MAX_BYTES)
    try:
        inputs, outputs = ([described(tensor) for tensor in facts[side]] for side in ("inputs", "outputs"))
        name, files = str(facts["meta"]["name"]), [str(file) for file in facts["files"]]
        inner = _graph_model(path, files) if not packing.model else inspect(path / packing.model)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError("TP423", f"{path / FACTS} does not describe a browser folder", because=str(error)) from error
    return replace(
        inner,
        kind=f"browser folder for {packing.title}",
        path=str(path),
        name=name,
        producer="triport",
        bytes=sum(file.stat().st_size for file in path.iterdir() if file.is_file() and file.name not in INSTALLED),
        inputs=inputs,
        outputs=outputs,
        needs=dict(packing.packages),
        limits=limits_in(facts["meta"]),
    )


def _graph_model(path: Path, files: list[str]) -> Summary:
    """What model.json and its shards hold."""
    document = read_json(path / "model.json", MAX_BYTES)
    nodes = document["modelTopology"]["node"]
    return Summary(
        kind="graph model",
        path=str(path),
        name="",
        producer="triport",
        bytes=0,
        parameters=None,
        weight_bytes=sum((path / file).stat().st_size for file in files if file.endswith(".bin")),
        inputs=[],
        outputs=[],
        ops=counted(str(node["op"]) for node in nodes if node["op"] not in ("Const", "Placeholder")),
        quantization="none",
        needs={},
    )
