"""Graph ↔ the JSON document in a ``.triport`` file; docs/format.md is its specification.

Arrays do not appear in the document: on the way out they are handed to a `TensorTable`, which gives each the name of
a tensor, and on the way in they are looked up by that name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import FormatError, UsageError
from ..version import VERSION
from .attributes import (
    dtype_from_json,
    op_from_json,
    op_to_json,
    quantization_from_json,
    quantization_to_json,
    shape_from_json,
    shape_to_json,
)
from .container import TensorTable
from .golden import Recipe, Sample
from .graph import Graph, Node, Value
from .json_checks import LARGEST, Json, integer, items, number, table, text, whole_number
from .stored import Stored, StoredForm, stored_form_of, stored_forms, unpacked
from .types import CODES, Array, Quantization, Source, TensorType
from .verify import InvalidGraph, shape_rule, verify

FORMAT = 1
"""Version of the document; raised by every change that an older reader would misunderstand."""

REQUIRED_KEYS = ("constants", "format", "inputs", "metadata", "name", "nodes", "outputs", "producer")
OPTIONAL_KEYS = ("checksum", "crc32", "extra", "samples")
_DEEPEST = 100


def graph_to_document(graph: Graph, tensors: TensorTable) -> str:
    """The document as canonical JSON: keys sorted, no spaces, the checksum's digits still zero."""
    forms = stored_forms(graph.metadata)
    document: dict[str, Json] = {
        "checksum": "00000000",
        "constants": [_constant_to_json(v, tensors, forms) for v in graph.constants()],
        "format": FORMAT,
        "inputs": [_declaration(value) for value in graph.inputs],
        "metadata": _plain(graph.metadata, "metadata"),
        "name": graph.name,
        "nodes": [_node_to_json(node) for node in graph.nodes],
        "outputs": [[name, value.name] for name, value in graph.outputs.items()],
        "producer": f"triport {VERSION}",
    }
    samples = [_sample_to_json(i, sample, tensors) for i, sample in enumerate(graph.samples)]
    extra: dict[str, Json] = {name: tensors.add(f"extra/{name}", a) for name, a in sorted(graph.extra_tensors.items())}
    document |= {"samples": samples} if samples else {}
    document |= {"extra": extra} if extra else {}
    document["crc32"] = [tensors.sums[name] for name in sorted(tensors.sums)]
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def check_version(document: Json) -> dict[str, Json]:
    """The document's keys, once its version is known to be this one."""
    entries = table(document, "graph")
    version = integer(entries.get("format"), "graph.format")
    if version != FORMAT:
        producer = text(entries.get("producer", "an unknown program"), "graph.producer")[:80]
        raise FormatError(
            "TP401",
            f"the file has format {version} and was written by {producer}; triport {VERSION} reads format {FORMAT}",
            help=f'pip install --upgrade "{producer.replace(" ", ">=", 1)}"'
            if producer.startswith("triport ")
            else None,
        )
    return table(entries, "graph", required=REQUIRED_KEYS, optional=OPTIONAL_KEYS)


def graph_from_document(document: Mapping[str, Json], tensors: Mapping[str, Array]) -> Graph:
    """The graph a document of this version describes; FormatError names what is wrong with it."""
    graph = Graph(text(document["name"], "graph.name"))
    metadata: dict[str, Any] = dict(table(document["metadata"], "metadata"))
    graph.metadata = metadata
    loader = _Loader(graph, tensors)
    for declared in items(document["inputs"], "inputs"):
        name, type = _declared(declared, "inputs")
        loader.declare(graph.add_input(loader.free(name), type))
    for constant in items(document["constants"], "constants"):
        entry = items([constant, constant] if isinstance(constant, str) else constant, "constants")
        name, tensor = (text(part, "constants") for part in items(entry[:2], "constants", 2))
        where = f'constant "{name[:80]}"'
        quantization = None
        if len(entry) > 2 and isinstance(entry[2], dict):
            array = loader.stored(tensor, items(entry, where, 3)[2], where)
        else:
            array = loader.tensor(tensor, where)
            quantization = quantization_from_json(items(entry, where, 3)[2], where) if len(entry) > 2 else None
        _check_codes(array.dtype.name, quantization, where)
        loader.declare(graph.add_constant(array, loader.free(name), quantization))
    try:
        for i, node in enumerate(items(document["nodes"], "nodes")):
            loader.add_node(node, f"nodes[{i}]")
        loader.set_outputs(document["outputs"])
        verify(graph)
    except InvalidGraph as error:
        raise FormatError("TP405", str(error)) from error
    graph.samples = [
        loader.sample(s, f"samples[{i}]") for i, s in enumerate(items(document.get("samples", []), "samples"))
    ]
    extra = table(document.get("extra", {}), "extra")
    graph.extra_tensors = {name: loader.tensor(tensor, f'extra "{name[:80]}"') for name, tensor in extra.items()}
    loader.check_nothing_is_left()
    return graph


class _Loader:
    """What is known so far while a graph is read."""

    def __init__(self, graph: Graph, tensors: Mapping[str, Array]) -> None:
        self.graph = graph
        self.values: dict[str, Value] = {}
        self._tensors = tensors
        self._node_names: set[str] = set()
        self._unread = set(tensors)
        self._expanded: dict[str, Array] = {}

    def free(self, name: str) -> str:
        """The name, which no value before may have."""
        if name in self.values:
            raise FormatError("TP405", f'two values are named "{name[:80]}"')
        return name

    def declare(self, value: Value) -> None:
        self.values[value.name] = value

    def value(self, name: Json, where: str) -> Value:
        found = self.values.get(text(name, where))
        if found is None:
            raise FormatError("TP405", f'{where}: "{str(name)[:80]}" is not a value known at this place')
        return found

    def tensor(self, name: Json, where: str) -> Array:
        found = self._tensors.get(text(name, where))
        if found is None:
            raise FormatError("TP406", f'{where}: its tensor "{str(name)[:80]}" is missing from the file')
        self._unread.discard(str(name))
        return found

    def stored(self, name: str, encoded: Json, where: str) -> Array:
        """The float32 array that stands in the file in fewer bits; one array for all constants that share a tensor."""
        given = table(encoded, where, required=("bits",), optional=("shape", "steps", "view"))
        key = json.dumps([name, encoded], sort_keys=True)
        if key not in self._expanded:
            packed = self.tensor(name, where)
            found: Stored | str
            bits = integer(given["bits"], where)
            if bits == 16:
                half = packed.dtype == np.float16 and len(given) == 1
                found = Stored(16, packed, (1, 1, 1, packed.size)) if half else "it is no float16"
            else:
                table(encoded, where, required=("bits", "shape", "steps", "view"))
                shape = tuple(whole_number(size, where) for size in items(given["shape"], where))
                a, b, c, d = (whole_number(size, where) for size in items(given["view"], where, 4))
                steps = self.tensor(given["steps"], where)
                found = unpacked(bits, packed, shape, (a, b, c, d), steps)
            if isinstance(found, str):
                raise FormatError("TP405", f"{where}: {found}")
            self._expanded[key] = found.expanded()
        return self._expanded[key]

    def add_node(self, encoded: Json, where: str) -> None:
        node = table(encoded, where, required=("inputs", "name", "op", "outputs"), optional=("attrs", "source"))
        name = text(node["name"], f"{where}.name")
        where = f'{where} "{name[:80]}"'
        op = op_from_json(text(node["op"], f"{where}.op"), node.get("attrs", {}), where)
        inputs = [self.value(item, f"{where}.inputs") for item in items(node["inputs"], f"{where}.inputs")]
        outputs = [_declared(item, f"{where}.outputs") for item in items(node["outputs"], f"{where}.outputs")]
        layer, location = (text(s, where) for s in items(node.get("source", ["", ""]), f"{where}.source", 2))
        with shape_rule(f'{op.label()} "{name[:80]}"'):
            inferred = op.infer_outputs(*(value.type for value in inputs))
        if [type for _, type in outputs] != list(inferred):
            gives, says = (", ".join(map(str, types)) for types in (inferred, [type for _, type in outputs]))
            raise FormatError("TP405", f"{where}: the op gives {gives}, the file says {says}")
        names = [self.free(output) for output, _ in outputs]
        if name in self._node_names or len(set(names)) != len(names):
            raise FormatError("TP405", f'two nodes are named "{name[:80]}", or two outputs of one')
        self._node_names.add(name)
        added = self.graph.add_node(op, inputs, name=name, source=Source(layer, location), output_names=names)
        for value in added.outputs:
            self.declare(value)

    def set_outputs(self, encoded: Json) -> None:
        for item in items(encoded, "outputs"):
            name, value = (text(part, "outputs") for part in items(item, "outputs", 2))
            if name in self.graph.outputs:
                raise FormatError("TP405", f'output "{name[:80]}" is listed twice')
            self.graph.set_output(name, self.value(value, f'output "{name[:80]}"'))

    def sample(self, encoded: Json, where: str) -> Sample:
        given = table(encoded, where, required=("inputs", "outputs"), optional=())
        inputs: dict[str, Array] = {}
        recipes: dict[str, Recipe] = {}
        for name, entry in table(given["inputs"], f"{where}.inputs").items():
            if isinstance(entry, dict):
                recipes[name] = _recipe_from_json(entry, f'{where}, input "{name[:80]}"')
            else:
                inputs[name] = self.tensor(entry, f'{where}, input "{name[:80]}"')
        outputs = table(given["outputs"], f"{where}.outputs").items()
        answers = {name: self.tensor(entry, f'{where}, output "{name[:80]}"') for name, entry in outputs}
        return Sample(inputs, answers, recipes)

    def check_nothing_is_left(self) -> None:
        """A tensor or constant that nothing refers to would be lost without a word when the graph is saved again."""
        if self._unread:
            raise FormatError("TP406", f'tensor "{min(self._unread)[:80]}" is in the file, but nothing refers to it')
        read = set(self.graph.constants())
        for value in self.values.values():
            if value.is_constant and value not in read:
                raise FormatError("TP405", f'constant "{value.name[:80]}" is read by nothing')


def _constant_to_json(value: Value, tensors: TensorTable, forms: Sequence[StoredForm]) -> Json:
    """Its name alone where the tensor has the same one, as it has unless shared, and holds the cells as they are."""
    stored = stored_form_of(value.array(), forms)
    if stored is not None:
        about: dict[str, Json] = {"bits": stored.bits}
        if stored.steps is not None:
            shape: list[Json] = [*stored.codes.shape]
            about |= {"shape": shape, "view": [*stored.view], "steps": tensors.add(f"{value.name}/steps", stored.steps)}
        return [value.name, tensors.add(value.name, stored.packed()), about]
    tensor = tensors.add(value.name, value.array())
    if value.quantization is not None:
        return [value.name, tensor, quantization_to_json(value.quantization)]
    return value.name if value.name == tensor else [value.name, tensor]


def _check_codes(dtype: str, quantization: Quantization | None, where: str) -> None:
    if quantization is None:
        return
    lowest = next((lowest for codes, lowest in CODES.items() if codes.value == dtype), None)
    if lowest is None:
        raise FormatError("TP405", f"{where}: {dtype} cannot be quantized: codes are int8 or uint8")
    if not lowest <= quantization.zero_point < lowest + 256:
        raise FormatError("TP405", f"{where}: zero point {quantization.zero_point} is no {dtype}")


def _declaration(value: Value) -> Json:
    declared: list[Json] = [value.name, value.type.dtype.value, shape_to_json(value.type.shape)]
    return [*declared, quantization_to_json(value.quantization)] if value.quantization else declared


def _declared(encoded: Json, where: str) -> tuple[str, TensorType]:
    name, dtype, shape, *quantized = items(encoded, where, 4 if len(items(encoded, where)) == 4 else 3)
    name = text(name, where)
    where = f'{where} "{name[:80]}"'
    quantization = quantization_from_json(quantized[0], where) if quantized else None
    _check_codes(str(dtype)[:40], quantization, where)
    return name, TensorType(dtype_from_json(dtype, where), shape_from_json(shape, where), quantization)


def _node_to_json(node: Node) -> Json:
    encoded: dict[str, Json] = {
        "inputs": [value.name for value in node.inputs],
        "name": node.name,
        "op": node.op.name,
        "outputs": [_declaration(value) for value in node.outputs],
    }
    if attributes := op_to_json(node.op):
        encoded["attrs"] = attributes
    # Only the file's name: where it lies on the machine that captured the model is nobody's business.
    location = node.source.location.replace("\\", "/").rpartition("/")[2]
    if node.source.layer or location:
        encoded["source"] = [node.source.layer, location]
    return encoded


def _sample_to_json(index: int, sample: Sample, tensors: TensorTable) -> Json:
    def stored(kind: str, arrays: Mapping[str, Array]) -> dict[str, Json]:
        # Sorted, because equal arrays share the tensor of the first.
        return {name: tensors.add(f"golden/{index}/{kind}/{name}", arrays[name]) for name in sorted(arrays)}

    inputs = stored("inputs", sample.stored_inputs)
    inputs |= {name: _recipe_to_json(recipe) for name, recipe in sample.recipes.items()}
    outputs = stored("outputs", sample.outputs)
    return {"inputs": inputs, "outputs": outputs}


def _recipe_to_json(recipe: Recipe) -> Json:
    low, high = (float(x) if recipe.dtype.is_float else int(x) for x in (recipe.low, recipe.high))
    shape: list[Json] = [int(size) for size in recipe.shape]
    return {"dtype": recipe.dtype.value, "high": high, "low": low, "seed": recipe.seed, "shape": shape}


def _recipe_from_json(encoded: dict[str, Json], where: str) -> Recipe:
    given = table(encoded, where, required=("dtype", "high", "low", "seed", "shape"), optional=())
    dtype = dtype_from_json(given["dtype"], where)
    limit = number if dtype.is_float else integer
    shape = tuple(whole_number(size, where) for size in items(given["shape"], where))
    recipe = Recipe(
        dtype, shape, integer(given["seed"], where), limit(given["low"], where), limit(given["high"], where)
    )
    if problem := recipe.problem():
        raise FormatError("TP405", f"{where}: golden recipe: {problem}")
    return recipe


def _plain(value: object, where: str, depth: int = 0) -> Json:
    """Metadata as JSON data; UsageError names what JSON has no form for. Tuples become lists."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int) and -LARGEST - 1 <= value <= LARGEST:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, (list, tuple)) and depth < _DEEPEST:
        return [_plain(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(value)]
    if isinstance(value, dict) and depth < _DEEPEST and all(isinstance(key, str) for key in value):
        return {key: _plain(item, f"{where}.{key}", depth + 1) for key, item in value.items()}
    raise UsageError(
        "TP001",
        f"{where} cannot be written to a file: {type(value).__name__} {str(value)[:60]}",
        help="metadata is JSON: None, bool, int, finite float, str, and lists and dicts (with str keys) of these",
    )
