"""The browser port: a folder that a page, a worker or Node loads, with no third-party runtime in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...exporter.errors import ModelError
from ...exporter.graph import Graph, Node
from ...exporter.graph.conditions import CONDITIONS
from ...exporter.graph.limits import LIMITS
from ...exporter.labels import labels_of
from ...exporter.ops import Activation, Add, Conv, ConvTranspose, Div, Layout, Linear, Mul, Sub
from ..emit import Refusal
from ..target import Capabilities
from . import chains as _chains  # noqa: F401  (importing it lets fusions find them)
from . import ops as _ops  # noqa: F401  (importing it fills the table of emitters)
from .assemble import assembled
from .bundle import (
    COMPILED,
    RUNTIME,
    Bytes,
    bundle_script,
    demo_files,
    helper_scripts,
    image_declarations,
    module_script,
    package_json,
    page_script,
    tool_scripts,
    type_declarations,
    worker_scripts,
)
from .dtypes import DEVICE_DTYPES
from .emitters import EMITTERS, dtype_refusal
from .fusion import fusions
from .golden import golden_file
from .images import images_of
from .plan import Plan, canonical_json, plan_document
from .strip import strip
from .weights_file import pack_weights
from .writer import Writer

HELD = "kernels.relaxed.wasm"
"""The kernels that stand in index.js too, like plan.json: what nearly every page needs, and so makes no request for."""
KERNEL_FILES = ("kernels.wasm", HELD)

_CLAMPS = frozenset(Activation)

MAX_BYTES = 2**32 - 2**28
"""WebAssembly addresses 4 GiB; the rest is for what the model computes."""


class WebTarget:
    """Writes the bundle folder that docs/web-bundle.md describes."""

    name = "web"
    artefact = "web"
    capabilities = Capabilities(
        layout=Layout.CHANNELS_LAST,
        fuses=dict.fromkeys((Conv, ConvTranspose, Linear, Add, Sub, Mul, Div), _CLAMPS),
        lifts_1d=True,
        most_expanded=MAX_BYTES,
        narrow_integers=True,
        tabulates=True,
    )

    def refusal(self, node: Node) -> Refusal | None:
        return dtype_refusal(node) or EMITTERS.refusal(node)

    def write(self, graph: Graph, path: Path, manifest: Mapping[str, Any]) -> None:
        """Writes the folder ``path``; ModelError when an input or constant does not fit the browser's dtypes."""
        plan = make_plan(graph)
        loaded = loaded_files(graph, plan)
        path.mkdir(parents=True, exist_ok=True)
        for name, data in (loaded | page_files(graph, plan, loaded)).items():
            (path / name).write_bytes(data)
        with (path / "bundle.iife.js").open("wb") as file:
            file.writelines(bundle_script(graph.name, loaded, helpers_of(graph)))
        if manifest:
            (path / "triport.json").write_bytes(canonical_json(dict(manifest)))


def make_plan(graph: Graph, *, chained: bool = True) -> Plan:
    """The kernel calls of a prepared graph.

    chained   elementwise nodes are put together (chains.py); without, each has kernels of its own: for comparisons
    """
    for value in graph.inputs:
        if value.type.dtype not in DEVICE_DTYPES:
            raise ModelError(
                "TP105",
                f'input "{value.name}" is {value.type}, which the browser port does not have',
                help="convert the model with model.float() before capturing it",
            )
    return Writer(graph, fusions(graph, gathered=chained)).write_nodes(EMITTERS.emit)


def loaded_files(graph: Graph, plan: Plan) -> dict[str, Bytes]:
    """{file name: content} of what the JavaScript loads; the kernels are those that the plan calls and no others."""
    kept = ("quantization", LIMITS, CONDITIONS)
    told: dict[str, Any] = {"labels": labels_of(graph), "images": images_of(graph)}
    told = {key: facts for key, facts in told.items() if facts}
    told |= {key: graph.metadata[key] for key in kept if graph.metadata.get(key)}
    if "quantization" in told:  # a page has no use for the list of what stays float
        told["quantization"] = {key: fact for key, fact in told["quantization"].items() if key != "float"}
    meta = {"name": graph.name} | told
    parts, weights = pack_weights(plan)
    files: dict[str, Bytes] = {
        "weights.bin": weights,
        "golden.bin": golden_file(graph.samples),
        **{name: kernels_of(plan, (COMPILED / name).read_bytes()) for name in KERNEL_FILES},
    }
    sums = {name: short_sum(data) for name, data in files.items() if name != HELD}
    return {"plan.json": canonical_json(plan_document(plan, meta, parts, sums))} | files


def short_sum(data: Bytes) -> str:
    """The first 15 bytes of the SHA-256 in base64: 120 bits tell two files apart, and each byte of them is fetched."""
    return base64.b64encode(hashlib.sha256(data).digest()[:15]).decode()


def kernels_of(plan: Plan, module: bytes) -> bytes:
    """A compiled module with the kernels that the plan calls and no others."""
    return strip(module, plan.kernels(), assembled(plan.chains, module))


def page_files(graph: Graph, plan: Plan, loaded: Mapping[str, Bytes]) -> dict[str, Bytes]:
    """{file name: content} of what pages and their tools read, which load the files ``loaded``."""
    images = images_of(graph)
    return {
        **({"image.d.ts": image_declarations(plan, images).encode()} if images else {}),
        "index.js": module_script(loaded["plan.json"], loaded[HELD]),
        "index.iife.js": page_script(graph.name, loaded["plan.json"], loaded[HELD]),
        **{name: script.encode() for name, script in (tool_scripts() | worker_scripts(graph.name)).items()},
        "index.d.ts": type_declarations(plan.inputs, plan.outputs).encode(),
        **{name: (RUNTIME / name).read_bytes() for name in ("labels.d.ts", "worker.d.ts")},
        "package.json": package_json(graph.name),
        **helper_scripts(helpers_of(graph)),
        **demo_files(graph.name),
    }


def helpers_of(graph: Graph) -> dict[str, str]:
    """{file: the function that it exports} of what pages import only if they use it."""
    return {"labels.js": "topK"} | ({"image.js": "fromImage"} if images_of(graph) else {})
