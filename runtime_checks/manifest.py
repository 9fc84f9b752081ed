"""triport.json: what an export folder holds, for programs that use it. docs/export-folder.md describes the keys."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from ..exporter.errors import FormatError, TriportError, UsageError
from ..exporter.graph import Array, DType, Graph, Recipe, Sample, Value
from ..exporter.graph.codec import graph_to_document
from ..exporter.graph.conditions import CONDITIONS
from ..exporter.graph.container import TensorTable, write_container
from ..exporter.graph.limits import LIMITS
from ..exporter.passes.input_layout import METADATA_KEY, layout_of, output_layout_of
from ..exporter.version import VERSION
from ..targets.packed.packings import FACTS
from .inspection import parameter_count
from .truth import exact_outputs

FILE = "triport.json"
FORMAT = "triport-export"
FORMAT_VERSION = 1
MAX_BYTES = 64 * 2**20
"""A triport.json larger than this is not read: golden samples take kilobytes."""

_FETCHED = ("index.js", "weights.bin")


def describe(graph: Graph, fingerprint: str) -> dict[str, Any]:
    """What the artefacts carry about the model: everything but file sums and golden samples."""
    exact = exact_outputs(graph)
    outputs = [
        _tensor(graph, name, value, "outputs") | {"exact": name in exact} for name, value in graph.outputs.items()
    ]
    return {
        "producer": "triport",
        "producer_version": VERSION,
        "model": {
            "name": graph.name,
            "sha256": fingerprint,
            "parameters": parameter_count(graph),
            "weight_bytes": graph.stored_bytes(),
        },
        "inputs": [_tensor(graph, value.name, value, "inputs") for value in graph.inputs],
        "outputs": outputs,
        "input_layout": graph.metadata.get(METADATA_KEY),
        "limits": graph.metadata.get(LIMITS, {}),
        "conditions": graph.metadata.get(CONDITIONS, []),
        "labels": graph.metadata.get("labels"),
        "preprocessing": graph.metadata.get("preprocessing"),
        "quantization": graph.metadata.get("quantization"),
    }


def manifest(
    description: Mapping[str, Any], ports: Mapping[str, Mapping[str, Any]], samples: Sequence[Sample]
) -> dict[str, Any]:
    """The whole of triport.json.

    ports   {target: {"artefact", "needs", "files"}}
    """
    golden = [_sample(sample) for sample in samples]
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        **description,
        "ports": dict(ports),
        "golden": golden,
    }


def to_bytes(document: Mapping[str, Any]) -> bytes:
    """The same document is the same bytes."""
    text = json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def file_sums(folder: Path, artefact: str) -> dict[str, dict[str, Any]]:
    """{path relative to the folder: {"bytes", "sha256"}} of an artefact, which is a file or a folder."""
    root = folder / artefact
    if root.is_dir():
        files = sorted(path for path in root.rglob("*") if path.is_file())
    else:  # weights beyond 2 GB lie in a file of their own: model.onnx.data
        files = [root, *sorted(folder.glob(f"{artefact}.*"))]
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in files
    }


def download_bytes(files: Mapping[str, Mapping[str, Any]]) -> int:
    """What a device loads of an artefact: everything, or of a bundle what a page fetches before its first inference.

    A runtime that comes from npm is not counted.
    """
    sizes = {name: int(facts["bytes"]) for name, facts in files.items()}
    names = {name.rpartition("/")[2] for name in sizes}
    if FACTS in names and "plan.json" not in names:  # around a runtime from npm, which comes beside it
        fetched = ("index.js", FACTS, "model.", "group1-")
        return sum(size for name, size in sizes.items() if name.rpartition("/")[2].startswith(fetched))
    if "plan.json" not in names:
        return sum(sizes.values())
    return sum(size for name, size in sizes.items() if name.rsplit("/", 1)[-1] in _FETCHED)


def fingerprint(graph: Graph) -> str:
    """SHA-256 of the graph's file, whether or not there is one."""
    sink = _Hash()
    tensors = TensorTable()
    document = graph_to_document(graph, tensors)
    write_container(sink, document, tensors.tensors)  # type: ignore[arg-type]  # it only writes
    return sink.sum.hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """triport.json of an export folder; FormatError TP420 when it is damaged or there is none, UsageError no folder."""
    path = folder / FILE
    if (folder / "plan.json").is_file():  # a bundle has a triport.json of its own
        raise _no_export(folder)
    try:
        if path.stat().st_size > MAX_BYTES:
            _damaged(path, f"it has more than {MAX_BYTES} bytes")
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise _no_export(folder, error.strerror) from error
    except (ValueError, RecursionError) as error:
        _damaged(path, str(error))
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        _damaged(path, f'"format" is not "{FORMAT}"')
    if document.get("version") != FORMAT_VERSION:
        _damaged(path, f"it is version {document.get('version')!r}, this triport reads {FORMAT_VERSION}")
    _check_shape(path, document)
    return document


def check_files(folder: Path, port: Mapping[str, Any]) -> None:
    """FormatError TP421 when a file of a port is missing or is not the one that was exported."""
    for name, facts in port["files"].items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise FormatError("TP420", f"{FILE} names a file outside of the folder: {name!r}")
        if not path.is_file():
            raise FormatError("TP421", f"{path} is missing", help="export the model again")
        if path.stat().st_size != facts["bytes"] or _sha256(path) != facts["sha256"]:
            raise FormatError(
                "TP421",
                f"{path} is not the file that was exported: its SHA-256 is another one than {FILE} says",
                help="copy the folder again, or export the model again",
            )


def golden_samples(document: Mapping[str, Any]) -> list[Sample]:
    """The golden samples of a triport.json; FormatError TP420 when one is damaged."""
    try:
        return [_to_sample(entry) for entry in document["golden"]]
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise FormatError("TP420", f"a golden sample in {FILE} is damaged", because=str(error)) from error


class _Hash:
    """A file that keeps nothing but the sum."""

    def __init__(self) -> None:
        self.sum = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sum.update(data)
        return len(data)


def _tensor(graph: Graph, name: str, value: Value, side: str) -> dict[str, Any]:
    arrays = [getattr(sample, side).get(name) for sample in graph.samples]
    seen = [array for array in arrays if array is not None and array.size and array.dtype.kind != "b"]
    low = min((float(np.min(array)) for array in seen), default=math.nan)
    high = max((float(np.max(array)) for array in seen), default=math.nan)
    quantization = value.quantization
    return {
        "name": name,
        "dtype": value.type.dtype.value,
        "shape": [dim if isinstance(dim, int) else str(dim) for dim in value.type.shape],
        "layout": layout_of(graph, value) if side == "inputs" else output_layout_of(graph, value),
        "value_range": [low, high] if math.isfinite(low) and math.isfinite(high) else None,
        "quantization": {"scale": quantization.scale, "zero_point": quantization.zero_point} if quantization else None,
    }


def _sample(sample: Sample) -> dict[str, Any]:
    stored = {name: _array(array) for name, array in sample.stored_inputs.items()}
    made = {name: _recipe(recipe) for name, recipe in sample.recipes.items()}
    return {"inputs": stored | made, "outputs": {name: _array(array) for name, array in sample.outputs.items()}}


def _array(array: Array) -> dict[str, Any]:
    data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "base64": base64.b64encode(data).decode()}


def _recipe(recipe: Recipe) -> dict[str, Any]:
    facts = {"seed": recipe.seed, "low": recipe.low, "high": recipe.high}
    return {"dtype": recipe.dtype.value, "shape": list(recipe.shape), "recipe": facts}


def _to_sample(entry: Mapping[str, Any]) -> Sample:
    stored: dict[str, Array] = {}
    recipes: dict[str, Recipe] = {}
    for name, item in entry["inputs"].items():
        if "recipe" in item:
            facts = item["recipe"]
            shape = tuple(int(size) for size in item["shape"])
            recipe = Recipe(DType(item["dtype"]), shape, int(facts["seed"]), float(facts["low"]), float(facts["high"]))
            if problem := recipe.problem():
                raise ValueError(f"{name}: {problem}")
            recipes[name] = recipe
        else:
            stored[name] = _to_array(item)
    return Sample(stored, {name: _to_array(item) for name, item in entry["outputs"].items()}, recipes)


def _to_array(item: Mapping[str, Any]) -> Array:
    dtype = DType(item["dtype"]).numpy
    data = base64.b64decode(item["base64"], validate=True)
    return np.frombuffer(data, dtype.newbyteorder("<")).reshape(item["shape"]).astype(dtype)


def _check_shape(path: Path, document: Mapping[str, Any]) -> None:
    """That every key that is read later is there and is what it should be."""
    ports = document.get("ports")
    wanted: list[tuple[str, object, type]] = [
        ("model", document.get("model"), dict),
        ("inputs", document.get("inputs"), list),
        ("outputs", document.get("outputs"), list),
        ("golden", document.get("golden"), list),
        ("ports", ports, dict),
    ]
    for key, value, kind in wanted:
        if not isinstance(value, kind):
            _damaged(path, f'"{key}" is missing or of the wrong kind')
    assert isinstance(ports, dict)
    for target, port in ports.items():
        files = port.get("files") if isinstance(port, dict) else None
        if not isinstance(files, dict) or not isinstance(port.get("artefact"), str):
            _damaged(path, f'port "{target}" names no artefact or no files')
        if not all(isinstance(f, dict) and {"bytes", "sha256"} <= f.keys() for f in files.values()):
            _damaged(path, f'port "{target}" lists no files')
    for tensor in (*document["inputs"], *document["outputs"]):
        if not isinstance(tensor, dict) or not {"name", "dtype", "shape"} <= tensor.keys():
            _damaged(path, "an input or output has no name, dtype or shape")


def _no_export(folder: Path, reason: str | None = None) -> TriportError:
    """The error for a path that is no export folder: nothing, a part of one, a model, or any other folder."""
    if not folder.exists():
        return UsageError("TP001", f"{folder} does not exist", help="name the folder that triport export -o was given")
    help = f"triport export model.triport -o {folder}"
    if (folder.absolute().parent / FILE).is_file():
        reason, help = "it is a part of one", f"triport verify {folder.parent}"
    elif folder.is_file():
        help = f"make one of a model first: triport export {folder} -o dist"
    return FormatError(
        "TP420", f"{folder} is not an export folder: it has no readable {FILE}", because=reason, help=help
    )


def _damaged(path: Path, reason: str) -> NoReturn:
    raise FormatError("TP420", f"{path} is damaged", because=reason, help="export the model again")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
