"""The runtimes of npm that a browser folder can be packed around, as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...exporter.errors import UsageError
from ...exporter.graph import DType

FORMAT = "triport-packed"
VERSION = 1
FACTS = "meta.json"
"""The file that says what a packed folder holds; `packing_of` reads it."""

INSTALLED = ("node_modules", "package-lock.json")
"""What ``npm install`` makes in a packed folder, whose package.json names the runtime."""

OURS = "triport"
"""What ``--web-runtime`` calls the bundle without any other runtime."""


@dataclass(frozen=True)
class Packing:
    """One runtime.

    name       what ``--web-runtime`` calls it
    title      what people call it
    target     module and class of the target whose artefact it runs
    model      that artefact inside of the folder: a file, or "" where it is files of the folder itself
    packages   {npm package: the version that it is written for and tested with}
    imports    lines at the top of index.js
    browser    {bare name that is imported: file in node_modules, or "./" and one of the folder}, for import maps
    dtypes     what inputs and outputs may be
    wide       whether the file holds int64 as it is, where pages give and get int32
    one_row    whether sizes are fixed: a free batch is run row by row, and no other size may be free
    in_node    whether it runs in Node
    options    what its load() takes beside what all take, as lines of index.d.ts
    """

    name: str
    title: str
    target: tuple[str, str]
    model: str
    packages: Mapping[str, str]
    imports: str
    browser: Mapping[str, str]
    dtypes: frozenset[DType]
    wide: bool = False
    one_row: bool = False
    in_node: bool = True
    options: str = ""


_ALL = frozenset({DType.FLOAT32, DType.INT64, DType.INT32, DType.UINT8, DType.INT8, DType.BOOL})
_TFJS = {f"@tensorflow/tfjs-{part}": "4.22.0" for part in ("core", "converter", "backend-wasm")}

PACKINGS: dict[str, Packing] = {
    packing.name: packing
    for packing in (
        Packing(
            name="ort",
            title="onnxruntime-web",
            target=("..onnx", "OnnxTarget"),
            model="model.onnx",
            packages={"onnxruntime-web": "1.30.0"},
            imports="",  # ort.js imports the package itself, by one name in Node and by another elsewhere
            browser={"onnxruntime-web/wasm": "onnxruntime-web/dist/ort.wasm.bundle.min.mjs"},
            dtypes=_ALL,
            wide=True,
            options="  /** More than 1 (the default) in pages that are crossOriginIsolated. */\n  threads?: number;\n",
        ),
        Packing(
            name="litert",
            title="LiteRT.js",
            target=("..tflite", "TFLiteTarget"),
            model="model.tflite",
            packages={"@litertjs/core": "2.5.3"},
            imports='import { getGlobalLiteRtPromise, loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";\n',
            browser={
                "@litertjs/core": "@litertjs/core/dist/index.js",
                "@litertjs/wasm-utils": "@litertjs/wasm-utils/dist/index.js",
            },
            dtypes=frozenset({DType.FLOAT32, DType.INT64, DType.INT32, DType.UINT8}),
            one_row=True,
            in_node=False,
        ),
        Packing(
            name="tfjs",
            title="TensorFlow.js",
            target=("..tfjs", "TfjsTarget"),
            model="",
            packages=_TFJS,
            imports="".join(
                f'import * as {name} from "@tensorflow/tfjs-{part}";\n'
                for name, part in (("tfCore", "core"), ("tfConverter", "converter"), ("tfWasm", "backend-wasm"))
            ),
            browser={
                **{name: f"{name}/dist/tf-{name.rpartition('tfjs-')[2]}.fesm.min.js" for name in _TFJS},
                # What its backend asks for in Node alone; bundlers are told so by its package.json.
                **dict.fromkeys(("fs", "os", "path", "perf_hooks"), "./nothing.js"),
            },
            dtypes=_ALL,
        ),
    )
}

WEB_RUNTIMES = (OURS, *PACKINGS)


def packing_named(name: str) -> Packing | None:
    """The packing that ``--web-runtime`` calls ``name``, None for our own bundle; UsageError for any other name."""
    wanted = str(name).lower()
    if wanted == OURS:
        return None
    if wanted not in PACKINGS:
        raise UsageError(
            "TP001",
            f"unknown web runtime {name!r}; they are {', '.join(WEB_RUNTIMES)}",
            help="triport export model.triport --to web --web-runtime ort",
        )
    return PACKINGS[wanted]


def packing_of(folder: Path) -> Packing | None:
    """The packing of a browser folder that an export wrote; None for a bundle of our own."""
    try:
        facts = json.loads((folder / FACTS).read_bytes())
    except (OSError, ValueError):
        return None
    is_packed = isinstance(facts, dict) and facts.get("format") == FORMAT
    return PACKINGS.get(str(facts.get("runtime"))) if is_packed else None


def import_map(packing: Packing, modules: str, folder: str = ".") -> str:
    """JSON of an import map: where the runtime is, by the addresses of a node_modules and of the packed folder."""
    places = {
        name: f"{folder}{file[1:]}" if file.startswith("./") else f"{modules}/{file}"
        for name, file in packing.browser.items()
    }
    return json.dumps({"imports": places})
