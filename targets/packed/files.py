"""The files of a packed folder beside the model: index.js, its types, package.json, a page, and what they read."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

from ...exporter.graph import DType, Graph, TensorType
from ...exporter.graph.conditions import CONDITIONS
from ...exporter.graph.limits import LIMITS
from ...exporter.labels import labels_of
from ..web.bundle import RUNTIME as OURS
from ..web.bundle import helper_scripts, image_declarations, package_name, plain_source, type_declarations
from ..web.dtypes import device_dtype
from ..web.golden import golden_file
from ..web.images import images_of
from ..web.plan import Plan, TensorSpec, canonical_json, spell
from ..web.target import helpers_of
from .packings import FACTS, FORMAT, VERSION, Packing, import_map

RUNTIME = Path(__file__).parent / "runtime"

SHARED = ("files.js", "arrays.js", "dims.js", "tensors.js", "queue.js", "golden.js")
"""Of our own bundle: what is said of files, how feeds are checked, calls wait and samples are compared.

Each after those it imports.
"""


def write_pages(graph: Graph, packing: Packing, model_files: Sequence[str], path: Path) -> None:
    """Writes all of them.

    graph         with the sizes that pages see, a free batch among them
    model_files   what the folder holds of the model, by name
    """
    facts = canonical_json(facts_of(graph, packing, model_files))
    texts = {
        "index.js": index_script(graph.name, packing, model_files),
        "index.d.ts": declarations(graph, packing),
        "package.json": package_json(graph.name, packing),
        "index.html": page(graph.name, packing),
        "demo.js": (RUNTIME / "demo.js").read_text("utf-8"),
    }
    if "./nothing.js" in packing.browser.values():
        texts["nothing.js"] = "export default {};\n"
    if images := images_of(graph):
        specs = [_spec(value.name, value.type) for value in graph.inputs]
        texts["image.d.ts"] = image_declarations(Plan(inputs=specs), images)
    files = {
        FACTS: facts,
        "golden.bin": golden_file(graph.samples),
        **{name: text.encode() for name, text in texts.items()},
    }
    files |= helper_scripts(helpers_of(graph)) | {"labels.d.ts": (OURS / "labels.d.ts").read_bytes()}
    for name, data in files.items():
        (path / name).write_bytes(data)


def facts_of(graph: Graph, packing: Packing, model_files: Sequence[str]) -> dict[str, Any]:
    """meta.json, but for the samples."""
    told: dict[str, Any] = {"labels": labels_of(graph), "images": images_of(graph)}
    told = {key: known for key, known in told.items() if known}
    told |= {key: graph.metadata[key] for key in (LIMITS, CONDITIONS) if graph.metadata.get(key)}
    return {
        "format": FORMAT,
        "version": VERSION,
        "runtime": packing.name,
        "packages": dict(packing.packages),
        "files": list(model_files),
        "meta": {"name": graph.name} | told,
        "inputs": [_tensor(value.name, value.type, packing) for value in graph.inputs],
        "outputs": [_tensor(name, value.type, packing) for name, value in graph.outputs.items()],
    }


def index_script(name: str, packing: Packing, model_files: Sequence[str]) -> str:
    """index.js: the runtime's import, the files with their addresses, and the sources in one scope."""
    places = "\n".join(
        f'  "{file}": new URL("./{file}", import.meta.url),' for file in (FACTS, "golden.bin", *model_files)
    )
    sources = [OURS / source for source in SHARED]
    sources += [RUNTIME / source for source in ("files.js", "packed.js", f"{packing.name}.js", "load.js")]
    body = "".join(plain_source(source) for source in sources)
    return (
        f"// {name}, written by triport for {packing.title}. load() gives a model; see index.d.ts.\n"
        f"{packing.imports}const FILES = {{\n{places}\n}};\n{body}export {{ load }};\n"
    )


def declarations(graph: Graph, packing: Packing) -> str:
    """index.d.ts, typed to the model's inputs and outputs."""
    inputs = [_spec(value.name, value.type) for value in graph.inputs]
    outputs = [_spec(name, value.type) for name, value in graph.outputs.items()]
    interface = Template((RUNTIME / "index.template.d.ts").read_text("utf-8")).substitute(own=packing.options)
    return type_declarations(inputs, outputs, interface)


def package_json(name: str, packing: Packing) -> str:
    """An npm package that brings the runtime, in the one version that it was tested with."""
    package = {
        "name": package_name(name),
        "version": "1.0.0",
        "type": "module",
        "main": "./index.js",
        "types": "./index.d.ts",
        "exports": {".": {"types": "./index.d.ts", "default": "./index.js"}, "./*": "./*"},
        "sideEffects": False,
        "engines": {"node": ">=18"},
        "dependencies": dict(packing.packages),
    }
    return json.dumps(package, indent=2) + "\n"


def page(name: str, packing: Packing) -> str:
    """index.html: runs the recorded samples, after ``npm install`` in the folder."""
    escaped = name.replace("&", "&amp;").replace("<", "&lt;")
    template = (RUNTIME / "index.html").read_text("utf-8")
    words = {"$name": escaped, "$title": packing.title, "$map": import_map(packing, "./node_modules")}
    return re.sub(r"\$\w+", lambda found: words[found.group()], template)


def _spec(name: str, type: TensorType) -> TensorSpec:
    """An input or output as pages see it; it stands in no buffer of ours."""
    return TensorSpec(name, device_dtype(type.dtype), type.shape, "", type.quantization)


def _tensor(name: str, type: TensorType, packing: Packing) -> dict[str, Any]:
    of = type.quantization
    coded = {"quantization": {"scale": of.scale, "zero_point": of.zero_point}} if of else {}
    # What the file holds where that is not what pages give and get.
    carried = {"carrier": type.dtype.value} if packing.wide and type.dtype is DType.INT64 else {}
    shape = [spell(dim) for dim in type.shape]
    return {"name": name, "dtype": device_dtype(type.dtype).value, "shape": shape} | coded | carried
