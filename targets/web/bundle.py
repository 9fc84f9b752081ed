"""The files of a bundle that are text: JavaScript from one source, its types, the demo page, package.json.

The sources under runtime/ are ES modules. `joined` puts them into one scope, so no bundler is needed: every import in
them is one line and every top-level name is used once.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from string import Template

from ...exporter.graph import DType
from .plan import Plan, TensorSpec

RUNTIME = Path(__file__).parent / "runtime"
DEMO = Path(__file__).parent / "demo"
COMPILED = Path(__file__).parent / "compiled"

MODULES = ("arrays.js", "dims.js", "tensors.js", "schedule.js", "queue.js", "files.js", "model.js")
"""What every page fetches, each after those it imports."""

ENTRIES = {"index.js": ("load.js", "esm.js"), "index.iife.js": ("load.js", "published.js", "page.js")}
"""{script that fetches the other files: what it is made of, behind `MODULES`}"""

TOOLS: dict[str, tuple[str, ...]] = {
    "golden.js": ("arrays.js", "files.js", "golden.js"),
    "weights.js": ("weights.js",),
    "cache.js": ("cache.js",),
    "node.js": ("node.js",),
    "worker.js": ("arrays.js", "dims.js", "tensors.js", "queue.js", "worker.js"),
    "threads.js": ("split.js", "threads.js"),
    "threads-worker.js": ("threads-worker.js",),
}
"""{file beside index.js: what it is made of}: what few pages need, imported when they do."""

AT_ONCE = "//# allFunctionsCalledOnLoad\n"
"""Has engines that know it (Chrome 136) compile all of a script while it comes in: first answers need most of it."""

NOT_ONLY_EXPORTS = (
    "bundle.iife.js",
    "demo.js",
    "index.iife.js",
    "threads-worker.js",
    "worker-classic.js",
    "worker-module.js",
)
"""Scripts that do something when they are imported: bundlers may not leave them out where nothing of them is used."""

BASE64_PIECE = 3 * 2**16
"""Bytes turned into base64 at a time: a multiple of 3, so that the pieces need no padding between them."""

Bytes = bytes | bytearray

ARRAY_TYPES: dict[DType, str] = {
    DType.FLOAT32: "Float32Array",
    DType.INT32: "Int32Array",
    DType.UINT8: "Uint8Array",
    DType.INT8: "Int8Array",
    DType.BOOL: "Uint8Array",
}


NO_HELPERS: Mapping[str, str] = {}


def joined(*modules: str) -> str:
    """The modules in one scope, without imports, exports, indentation and comments on lines of their own.

    No text in them runs over several lines.
    """
    return "".join(plain_source(RUNTIME / name) for name in modules)


def module_script(plan: Bytes, kernels: Bytes) -> bytes:
    """index.js: `MODULES` and esm.js, made small beforehand (minify.py), and behind them the model's plan and kernels.

    plan      plan.json
    kernels   kernels.relaxed.wasm
    """
    return AT_ONCE.encode() + (COMPILED / "index.js").read_bytes() + _held(plan, kernels)


def page_script(name: str, plan: Bytes, kernels: Bytes) -> bytes:
    """index.iife.js: the same with page.js, as ``triport["name"]``; no ``<`` ends the element in which it stands."""
    held = f"const NAME={json.dumps(name)};\n".encode() + _held(plan, kernels)
    code = (COMPILED / "index.iife.js").read_bytes()
    return AT_ONCE.encode() + b'(()=>{"use strict";' + held.replace(b"<", rb"\x3c") + code + b"})();\n"


def _held(plan: Bytes, kernels: Bytes) -> bytes:
    """Plan and kernels as constants of a script.

    Hexadecimal digits are ASCII, whatever charset a server names, and brotli makes of them nearly what it makes of the
    bytes (base64 would take a third more).
    """
    text = bytes(plan).decode("ascii").replace("\\", r"\\").replace("'", r"\'")
    return f"const PLAN='{text}',KERNELS='{kernels.hex()}';\n".encode()


def tool_scripts() -> dict[str, str]:
    """The modules that index.js imports when a page needs them, by file name."""
    scripts = {}
    for file, modules in TOOLS.items():
        exported = re.findall(r"^export (?:async )?function (\w+)", (RUNTIME / file).read_text("utf-8"), re.MULTILINE)
        scripts[file] = f"{joined(*modules)}export {{ {', '.join(exported)} }};\n"
    return scripts


def worker_scripts(name: str) -> dict[str, str]:
    """What runs in the workers that worker.js starts, by file name: a module, and a classic script."""
    side = joined("worker-side.js")
    return {
        "worker-module.js": f'import {{ load }} from "./index.js";\n{side}',
        "worker-classic.js": f'importScripts("bundle.iife.js");\nconst {{ load }} = {script_name(name)};\n{side}',
    }


def helper_scripts(helpers: Mapping[str, str]) -> dict[str, bytes]:
    """Modules that pages import beside index.js: {file name: content}.

    helpers   {file: the function that it exports}
    """
    return {
        file: f"// Written by triport.\n{plain_source(RUNTIME / file)}export {{ {function} }};\n".encode()
        for file, function in helpers.items()
    }


def bundle_script(name: str, files: Mapping[str, Bytes], helpers: Mapping[str, str] = NO_HELPERS) -> Iterator[bytes]:
    """bundle.iife.js in pieces: the same code with the other files inside, as ``triport["name"]`` on the global object.

    In pieces, because the weights in base64 are the largest thing that an export writes.
    """
    yield (
        f"{AT_ONCE}// Written by triport: {script_name(name)}.load() gives a model.\n"
        '(() => {\n"use strict";\nconst EMBEDDED = {\n'
    ).encode()
    for file, data in sorted(files.items()):
        yield f'{json.dumps(file)}: "'.encode()
        for start in range(0, len(data), BASE64_PIECE):
            yield base64.b64encode(memoryview(data)[start : start + BASE64_PIECE])
        yield b'",\n'
    yield f"}};\n{joined(*MODULES, 'golden.js', 'weights.js', 'published.js', 'embedded.js')}".encode()
    for file, function in helpers.items():
        yield f"const {function} = (() => {{\n{plain_source(RUNTIME / file)}return {function};\n}})();\n".encode()
    yield f"publish({json.dumps(name)}, {{ {', '.join(('load', *helpers.values()))} }});\n}})();\n".encode()


def script_name(name: str) -> str:
    """How a page calls the classic script's object."""
    return f"triport[{json.dumps(name)}]"


def type_declarations(inputs: Iterable[TensorSpec], outputs: Iterable[TensorSpec], interface: str | None = None) -> str:
    """index.d.ts: what any model of these inputs and outputs has, and what ``interface`` says of load() and run()."""
    model = Template((RUNTIME / "model.template.d.ts").read_text("utf-8")).substitute(
        inputs="\n".join(declared(spec, "Feed") for spec in inputs),
        outputs="\n".join(declared(spec, "Tensor") for spec in outputs),
    )
    return model + (interface or (RUNTIME / "index.interface.d.ts").read_text("utf-8"))


def image_declarations(plan: Plan, images: Collection[str]) -> str:
    """image.d.ts, typed to the model's inputs that are images."""
    template = Template((RUNTIME / "image.template.d.ts").read_text("utf-8"))
    return template.substitute(inputs="\n".join(declared(s, "Tensor") for s in plan.inputs if s.name in images))


def demo_files(name: str) -> dict[str, bytes]:
    """index.html with its script and style: they stand in files of their own, so that a strict CSP lets them in."""
    page = Template((DEMO / "index.html").read_text("utf-8")).substitute(name=_escaped(name))
    style = re.sub(r"\n\s+", "\n", (DEMO / "demo.css").read_text("utf-8"))
    files = {"index.html": page, "demo.js": plain_source(DEMO / "demo.js"), "demo.css": style}
    return {file: text.encode() for file, text in files.items()} | {"icon.svg": (DEMO / "icon.svg").read_bytes()}


def package_json(name: str) -> bytes:
    """Makes the folder something ``npm pack`` accepts."""
    package = {
        "name": package_name(name),
        "version": "1.0.0",
        "type": "module",
        "main": "./index.js",
        "types": "./index.d.ts",
        "exports": {".": {"types": "./index.d.ts", "default": "./index.js"}, "./*": "./*"},
        "sideEffects": [f"./{file}" for file in NOT_ONLY_EXPORTS],
        "engines": {"node": ">=18"},
    }
    return (json.dumps(package, indent=2) + "\n").encode()


def package_name(name: str) -> str:
    """A name that npm accepts: lower case, digits, dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "model"


def plain_source(path: Path) -> str:
    """A script without imports, exports, indentation and comments on lines of their own."""
    text = re.sub(r"^\s*/\*\*.*?\*/\n", "", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    lines = [line for line in text.splitlines() if not re.match(r"\s*//|import |\s*$", line)]
    return "\n".join(re.sub(r"^(export |\s+)", "", line) for line in lines) + "\n"


def declared(spec: TensorSpec, kind: str) -> str:
    """A line of an interface of TypeScript: an input or output, and what its array and shape are."""
    shape = ", ".join(str(dim) for dim in spec.shape)
    dims = ", ".join(str(dim) if isinstance(dim, int) else "number" for dim in spec.shape)
    return (
        f"  /** {spec.dtype.value} [{shape}] */\n"
        f"  {json.dumps(spec.name)}: {kind}<{ARRAY_TYPES[spec.dtype]}, readonly [{dims}]>;"
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
