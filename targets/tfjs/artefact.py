"""The files of a graph model: model.json, and the weights one after the other in shards of 4 MiB.

    model.json            {"format": "graph-model", "modelTopology": …, "signature": …, "weightsManifest": […]}
    group1-shardNofM.bin  little-endian cells; a shard may end within an array

Weights that were rounded to float16 are stored in it. Of codes with a step only those with one step for the whole array
have a form here (unsigned bytes with ``scale`` and ``min``); all others are float32.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...exporter.graph import Array, DType, Graph, TensorType
from ...exporter.graph.conditions import CONDITIONS
from ...exporter.graph.limits import LIMITS
from ...exporter.graph.stored import Stored, StoredForm, stored_form_of, stored_forms
from ...exporter.version import VERSION
from .attributes import shape
from .dtypes import CARRIERS, DT_NAMES
from .writer import GraphModel

SHARD_BYTES = 4 * 2**20
"""What TensorFlow.js's own converter cuts at: browsers cache pieces of this size."""

_VERSIONS = {"producer": 1205, "minConsumer": 12}
"""Of TensorFlow's graph format; TensorFlow.js shows them as the version of the model."""


def write_files(model: GraphModel, graph: Graph, path: Path) -> None:
    """Writes the folder ``path``, which may exist already."""
    forms = stored_forms(graph.metadata)
    entries: list[dict[str, Any]] = []
    parts: list[Array] = []
    for name, array in model.weights.items():
        entry, cells = _stored(name, array, forms)
        entries.append(entry)
        parts.append(cells)
    path.mkdir(parents=True, exist_ok=True)
    total = sum(part.nbytes for part in parts)
    count = max(-(-total // SHARD_BYTES), 1)
    names = [f"group1-shard{i + 1}of{count}.bin" for i in range(count)]
    for name, content in zip(names, _shards(parts), strict=True):
        (path / name).write_bytes(content)
    document = {
        "format": "graph-model",
        "generatedBy": f"triport {VERSION}",
        "convertedBy": f"triport {VERSION}",
        "signature": {
            "inputs": {name: _tensor_info(*given) for name, given in model.inputs.items()},
            "outputs": {name: _tensor_info(*given) for name, given in model.outputs.items()},
        },
        "userDefinedMetadata": {"triport": _described(graph, model)},
        "modelTopology": {"node": model.nodes, "library": {}, "versions": _VERSIONS},
        "weightsManifest": [{"paths": names, "weights": entries}],
    }
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    (path / "model.json").write_text(text, encoding="utf-8")


def _tensor_info(tensor: str, type: TensorType) -> dict[str, Any]:
    return {
        "name": tensor if ":" in tensor else f"{tensor}:0",
        "dtype": DT_NAMES[CARRIERS[type.dtype]],
        "tensorShape": shape(type.shape),
    }


def _described(graph: Graph, model: GraphModel) -> dict[str, Any]:
    """What a page wants to know and a graph model has no place for: names of free sizes, dtypes, labels."""
    kept = ("labels", LIMITS, CONDITIONS)
    told = {key: graph.metadata[key] for key in kept if graph.metadata.get(key)}
    return {
        "name": graph.name,
        **told,
        "inputs": [_specification(name, type) for name, (_, type) in model.inputs.items()],
        "outputs": [_specification(name, type) for name, (_, type) in model.outputs.items()],
    }


def _specification(name: str, type: TensorType) -> dict[str, Any]:
    dtype = DType.INT32 if type.dtype is DType.INT64 else type.dtype
    return {
        "name": name,
        "dtype": dtype.value,
        "shape": [dim if isinstance(dim, int) else str(dim) for dim in type.shape],
    }


def _stored(name: str, array: Array, forms: Sequence[StoredForm]) -> tuple[dict[str, Any], Array]:
    """An entry of the manifest, and the cells as the shards hold them."""
    dtype = "bool" if array.dtype == np.bool_ else array.dtype.name
    entry: dict[str, Any] = {"name": name, "shape": list(array.shape), "dtype": dtype}
    stored = stored_form_of(array, forms)
    if stored is not None and stored.steps is None:
        return entry | {"quantization": {"dtype": "float16", "original_dtype": dtype}}, stored.codes
    if stored is not None and (bytes_of := _one_step(stored)) is not None:
        codes, described = bytes_of
        return entry | {"quantization": described}, codes
    return entry, array


def _one_step(stored: Stored) -> tuple[Array, Mapping[str, Any]] | None:
    """Codes as unsigned bytes, cell = byte * scale + min, which is exact in float64; None where steps differ."""
    assert stored.steps is not None
    if stored.steps.size != 1:
        return None
    step = float(stored.steps.reshape(-1)[0])
    least = int(stored.codes.min())
    codes = (stored.codes.astype(np.int16) - least).astype(np.uint8)
    return codes, {"dtype": "uint8", "scale": step, "min": least * step, "original_dtype": "float32"}


def _shards(parts: Sequence[Array]) -> Iterator[bytes]:
    """The bytes of all parts, cut; one empty piece where there are none."""
    pending = bytearray()
    for part in parts:
        flat = np.ascontiguousarray(part, part.dtype.newbyteorder("<")).reshape(-1).view(np.uint8).data
        for start in range(0, len(flat), SHARD_BYTES):
            pending += flat[start : start + SHARD_BYTES]
            while len(pending) >= SHARD_BYTES:
                yield bytes(pending[:SHARD_BYTES])
                del pending[:SHARD_BYTES]
    if pending or not math.fsum(part.nbytes for part in parts):
        yield bytes(pending)
