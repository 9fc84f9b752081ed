"""`inspect`: what a file or folder says of itself, whatever port it is for. Nothing is run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..exporter.errors import EnvironmentError_, FormatError, UsageError
from ..exporter.graph import Graph, Value
from ..exporter.graph.kinds import kind_of
from ..exporter.graph.limits import Limit, limits_of
from ..exporter.graph.steps import Steps, read_steps
from ..exporter.labels import labels_of
from ..exporter.preprocessing import Preprocessing, preprocessing_of
from ..targets.packed.packings import packing_of

MAX_PLAN_BYTES = 256 * 2**20
WEB_NEEDS = {"wasm": "SIMD (Chrome 91, Firefox 90, Safari 16.4, Node 18)"}


@dataclass(frozen=True)
class TensorSummary:
    """One input or output; free dims are names, ``?`` where the file has none."""

    name: str
    dtype: str
    shape: list[int | str]
    quantization: str = ""

    def __str__(self) -> str:
        return (
            f"{self.name} {self.dtype}[{', '.join(map(str, self.shape))}]{self.quantization and ' '}{self.quantization}"
        )


PLAIN = Preprocessing().to_json()


@dataclass(frozen=True)
class Summary:
    """One file or folder.

    kind           "triport graph", "torch program", "ONNX", "TFLite", "browser bundle", "browser folder for" a runtime
                   of npm, or "export folder"
    parameters     numbers in its weights; int64 constants are shapes and indices and do not count. None for a
                   bundle, whose weights are packed with gaps
    weight_bytes   what they take
    ops            {op: how many}
    quantization   "none", or what is quantized
    values         what holds codes inside, and their scales; of a .triport file alone
    needs          what it takes to run it
    limits         {free name: [least, most]} of those that have limits, null for none, where the file keeps them
    notices        what a user should know about how the model was captured
    described      labels and preprocessing of a .triport file, a line each
    parts          the ports of an export folder
    """

    kind: str
    path: str
    name: str
    producer: str
    bytes: int
    parameters: int | None
    weight_bytes: int
    inputs: list[TensorSummary]
    outputs: list[TensorSummary]
    ops: dict[str, int]
    quantization: str
    needs: dict[str, str]
    limits: dict[str, list[int | None]] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    described: list[str] = field(default_factory=list)
    parts: list[Summary] = field(default_factory=list)
    values: list[TensorSummary] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def sizes(self) -> list[str]:
        """What free sizes have to be, in words: ``height_over_8*8: a multiple of 8, 16 at least``."""
        names = dict.fromkeys(dim for tensor in self.inputs for dim in tensor.shape if isinstance(dim, str))
        return [f"{name}: {asked}" for name in names if (asked := self._asked_of(name))]

    def _asked_of(self, size: str) -> str:
        steps = read_steps(size) or Steps(size)
        least, most = self.limits.get(steps.name, [1, None])
        limit = Limit(steps.size(least or 1), None if most is None else steps.size(most))
        more = steps.rest % steps.step
        asked = [f"{f'{more} more than ' if more else ''}a multiple of {steps.step}"] if steps.step > 1 else []
        return ", ".join(asked + ([str(limit)] if steps.name in self.limits else []))


def inspect(path: str | Path) -> Summary:
    """What a .triport, .pt2, .onnx or .tflite file, a bundle or an export folder holds.

    Raises UsageError TP001 when there is nothing at ``path``, and FormatError when it is damaged or of another kind.
    """
    path = Path(path)
    if not path.exists():
        raise UsageError("TP001", f"{path} does not exist")
    if path.is_dir():
        if (path / "plan.json").exists():
            return _bundle(path)
        if (packing := packing_of(path)) is not None:
            from .inspection_packed import inspect_packed

            return inspect_packed(path, packing)
        if (path / "weights.bin").exists() and (path / "index.js").exists():
            raise FormatError("TP420", f"{path} is a browser bundle whose plan.json is missing", help="export it again")
        if (path / "triport.json").exists():
            return _export_folder(path)
        raise FormatError(
            "TP423",
            f"{path} is neither an export folder nor a browser bundle: it holds no triport.json and no plan.json",
            help="name a file in it: .triport, .pt2, .onnx or .tflite",
        )
    match _kind(path):
        case "onnx":
            from .inspection_onnx import inspect_onnx

            return inspect_onnx(path)
        case "tflite":
            from .inspection_tflite import inspect_tflite

            return inspect_tflite(path)
        case "pt2":
            from .inspection_program import inspect_program

            return inspect_program(path)
        case _:
            return _triport(path)


def needs_of(artefact: Path) -> dict[str, str]:
    """What it takes to run an artefact that triport wrote: {"opset": "13", …}."""
    if artefact.is_dir():
        packing = packing_of(artefact)
        return dict(packing.packages) if packing else dict(WEB_NEEDS)
    if artefact.suffix == ".onnx":
        from .inspection_onnx import needs_onnx

        return needs_onnx(artefact)
    from .inspection_tflite import needs_tflite

    return needs_tflite(artefact)


def _kind(path: Path) -> str:
    """By content where a format marks it, else by suffix; EnvironmentError_ TP340 where it cannot be read."""
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise EnvironmentError_("TP340", f"{path} cannot be read: {error.strerror or error}") from error
    if start[4:8] == b"TFL3":
        return "tflite"
    if len(start) > 8 and start[8:9] == b"{":
        return "triport"
    suffix = path.suffix.lower().removeprefix(".")
    if suffix in ("onnx", "tflite", "triport", "pt2"):
        return suffix
    kind, help = kind_of(path) or ("", "triport inspect model.triport")
    raise FormatError(
        "TP423",
        f"{path} is {kind and f'{kind}, '}neither a .triport nor a .pt2, an .onnx or a .tflite file",
        help=help,
    )


def _triport(path: Path) -> Summary:
    from ..exporter.graph.file import load_graph

    graph = load_graph(path)
    coded = dict.fromkeys(v for node in graph.nodes for v in (*node.inputs, *node.outputs) if v.quantization)
    values = [_of_value(value.name, value) for value in coded]
    facts = graph.metadata.get("quantization")
    return Summary(
        kind="triport graph",
        path=str(path),
        name=graph.name,
        producer=str(graph.metadata.get("producer", "triport")),
        bytes=path.stat().st_size,
        parameters=parameter_count(graph),
        weight_bytes=graph.stored_bytes(),
        inputs=[_of_value(value.name, value) for value in graph.inputs],
        outputs=[_of_value(name, value) for name, value in graph.outputs.items()],
        ops=counted(node.op.name for node in graph.nodes),
        quantization=", ".join(filter(None, (scheme_text(facts), f"{len(values)} values hold codes" if values else "")))
        or "none",
        needs={},
        values=values,
        limits={name: [limit.least, limit.most] for name, limit in limits_of(graph).items()},
        notices=list(graph.notices),
        described=_described(graph),
    )


def _described(graph: Graph) -> list[str]:
    """What classes are called, and how pictures are prepared."""
    lines = []
    for output, names in labels_of(graph).items():
        more = f", … ({len(names)} labels)" if len(names) > 10 else ""
        lines.append(f"{output}: {', '.join(names[:10])}{more}")
    for name, rules in preprocessing_of(graph).items():
        told = {key: fact for key, fact in rules.to_json().items() if fact != PLAIN[key] or key == "range"}
        lines.append(f"{name}: " + ", ".join(f"{key} {fact}" for key, fact in told.items()))
    return lines


def _bundle(path: Path) -> Summary:
    file = path / "plan.json"
    plan = read_json(file, MAX_PLAN_BYTES)
    try:
        if plan["format"] != "triport-web":
            raise ValueError(f"its format is {plan['format']!r}")
        weight_bytes = int(plan["weights"].get("file", plan["weights"]["bytes"]))
        inputs, outputs = ([described(tensor) for tensor in plan[side]] for side in ("inputs", "outputs"))
        ops = counted(str(op[0]) for op in plan["ops"])
        name = str(plan.get("meta", {}).get("name", path.name))
        quantization = scheme_text(plan.get("meta", {}).get("quantization")) or "none"
        limits = limits_in(plan.get("meta", {}))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise FormatError("TP423", f"{file} is not the plan of a bundle", because=str(error)) from error
    return Summary(
        kind="browser bundle",
        path=str(path),
        name=name,
        producer="triport",
        bytes=sum(f.stat().st_size for f in path.rglob("*") if f.is_file()),
        parameters=None,
        weight_bytes=weight_bytes,
        inputs=inputs,
        outputs=outputs,
        ops=ops,
        quantization=quantization,
        needs=dict(WEB_NEEDS),
        limits=limits,
    )


def _export_folder(path: Path) -> Summary:
    from .manifest import check_files, read_manifest

    document = read_manifest(path)
    parts: list[Summary] = []
    for port in document["ports"].values():
        check_files(path, port)
        parts.append(inspect(path / port["artefact"]))
    tensors = [[described(tensor) for tensor in document[side]] for side in ("inputs", "outputs")]
    return Summary(
        kind="export folder",
        path=str(path),
        name=str(document["model"].get("name", "")),
        producer=f"triport {document.get('producer_version', '')}".strip(),
        bytes=sum(part.bytes for part in parts),
        parameters=int(document["model"].get("parameters", 0)),
        weight_bytes=int(document["model"].get("weight_bytes", 0)),
        inputs=tensors[0],
        outputs=tensors[1],
        ops={},
        quantization=scheme_text(document.get("quantization")) or "none",
        needs={},
        limits=limits_in(document),
        parts=parts,
    )


def limits_in(document: Mapping[str, Any]) -> dict[str, list[int | None]]:
    """``limits`` of a plan, a meta.json or a triport.json; those that are none are left out."""
    found = document.get("limits") or {}
    pairs = found.items() if isinstance(found, Mapping) else ()
    return {str(name): list(pair) for name, pair in pairs if _is_limit(pair)}


def _is_limit(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and type(pair[0]) is int and type(pair[1]) in (int, type(None))


def parameter_count(graph: Graph) -> int:
    """Numbers in the weights of a graph; an array that two values share counts once."""
    arrays = {id(value.array()): value.array() for value in graph.constants()}
    return sum(array.size for array in arrays.values() if array.dtype != np.int64)


def read_json(path: Path, limit: int) -> Mapping[str, Any]:
    """A JSON object from a file of at most ``limit`` bytes; FormatError TP423 for anything else."""
    try:
        if path.stat().st_size > limit:
            raise ValueError(f"it has more than {limit} bytes")
        document = json.loads(path.read_bytes())
        if not isinstance(document, dict):
            raise ValueError("it is no JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError("TP423", f"{path} cannot be read", because=str(error)) from error
    return document


def counted(names: Any) -> dict[str, int]:
    """{name: how often}, the most frequent first."""
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))


def described(tensor: Mapping[str, Any]) -> TensorSummary:
    """An input or output as triport.json and plan.json describe it: {name, dtype, shape, quantization}."""
    facts = tensor.get("quantization")
    text = f"scale {facts['scale']:.6g}, zero point {facts['zero_point']}" if facts else ""
    shape = [dim if isinstance(dim, int) else str(dim) for dim in tensor["shape"]]
    return TensorSummary(tensor["name"], tensor["dtype"], shape, text)


def scheme_text(facts: Any) -> str:
    """``int8: 12 nodes int8, 3 moves, 1 float`` from what a quantized graph says of itself; empty for a float one."""
    if not isinstance(facts, dict) or "scheme" not in facts:
        return ""
    nodes = facts.get("nodes")
    counts = ", ".join(f"{count} {form}" for form, count in nodes.items()) if isinstance(nodes, dict) else ""
    return f"{facts['scheme']}{counts and f' (nodes: {counts})'}"


def _of_value(name: str, value: Value) -> TensorSummary:
    shape = [dim if isinstance(dim, int) else str(dim) for dim in value.type.shape]
    return TensorSummary(name, value.type.dtype.value, shape, str(value.quantization or ""))


def typed(name: str, dtype: str, shape: Any) -> TensorSummary:
    return TensorSummary(name, dtype, [dim if isinstance(dim, int) else str(dim) for dim in shape])
