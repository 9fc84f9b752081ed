"""How pages get the runtimes that the browser benchmark compares, and the page that runs each of them once."""

from __future__ import annotations

import json
import math
from typing import Any

from web_browser import PAGES, npm_folder
from web_networks import Net

OURS, PLAIN, INT8 = "triport", "triport, plain SIMD", "triport, int8"
ONNX, LITERT, TFJS = "onnxruntime-web", "LiteRT.js", "TF.js wasm"
PEERS = (ONNX, LITERT, TFJS)
EMPTY = "no runtime"
"""A page that answers with its input: what every page takes."""

MODULES = {
    OURS: "{folder}/web/index.js",
    PLAIN: "{folder}/web/index.js",
    INT8: "{folder}/web-int8/index.js",
    ONNX: "/npm/onnxruntime-web/dist/ort.wasm.bundle.min.mjs",
    LITERT: "/npm/@litertjs/core/dist/index.js",
}
SCRIPTS = {
    TFJS: [
        f"/npm/@tensorflow/tfjs-{file}.min.js"
        for file in ("core/dist/tf-core", "converter/dist/tf-converter", "backend-wasm/dist/tf-backend-wasm")
    ]
}
IMPORTS = {"imports": {"@litertjs/wasm-utils": "/npm/@litertjs/wasm-utils/dist/index.js"}}
HEADS = {LITERT: f'<script type="importmap">{json.dumps(IMPORTS)}</script>'}


def is_there(net: Net, runtime: str) -> bool:
    """Whether a runtime has a file of this network."""
    return runtime != TFJS or (net.folder / "tfjs" / "model.json").exists()


def page_arguments(runtime: str, net: Net) -> list[Any]:
    """What the measuring page's ``bench.open`` takes."""
    folder = f"/nets/{net.folder.name}"
    first = runtime == ONNX  # has images channels first
    facts = {"folder": folder, "name": net.entry, "shape": net.given if first else net.shape}
    facts["input"] = "input.nchw.bin" if first else "input.bin"
    module = MODULES[runtime].format(folder=folder) if runtime in MODULES else None
    return [runtime, facts, {"module": module, "scripts": SCRIPTS.get(runtime, [])}]


def stands_in_page(runtime: str) -> bool:
    """Whether there is a page that holds its scripts: of ours, and of the peer whose scripts are classic ones."""
    return runtime == OURS or runtime in SCRIPTS


def first_page(runtime: str, net: Net, links: str, *, held: bool = False) -> str:
    """A page that loads the network, runs it once and tells the server when the answer stood there.

    It is written as the documentation of the runtime has it: modules by a static import, classic scripts in the head.
    The input is its own, so nothing is fetched but what the runtime wants.

    links   what stands in its head
    held    the runtime's scripts stand in the page
    """
    name, facts, library = page_arguments(runtime, net)
    module, scripts = library["module"], [f'<script src="{script}"></script>' for script in library["scripts"]]
    taken = f'import * as library from "{module}";' if module else "const library = undefined;"
    if held and runtime == OURS:
        folder = f"{facts['folder']}/web/"
        taken = f'const library = {{ load: () => triport["{net.name}"].load("{folder}") }};'
    if held:
        scripts = [f"<script>{_in_page(text)}</script>" for text in _texts(runtime, net)]
    head = [HEADS.get(runtime, ""), links, *scripts]
    code = [
        taken,
        (PAGES / "runtimes.mjs").read_text().replace("export ", ""),
        f"const data = new Float32Array({math.prod(net.shape)}).map((_, i) => Math.sin(i));",
        f"const run = await open({json.dumps(name)}, {json.dumps(facts)}, library, data);",
        "await run();",
        "tell(performance.now());",
    ]
    template = (PAGES / "first.html").read_text()
    return template.replace("<!-- head -->", "\n".join(filter(None, head))).replace("/* page */", "\n".join(code))


def _texts(runtime: str, net: Net) -> list[str]:
    """The scripts of a runtime that may stand in a page."""
    npm = npm_folder()
    files = [npm / script.removeprefix("/npm/") for script in SCRIPTS.get(runtime, []) if npm]
    return [file.read_text("utf-8") for file in files or [net.folder / "web" / "index.iife.js"]]


def _in_page(text: str) -> str:
    """A script whose texts do not end the element that it stands in."""
    return text.replace("</script", r"<\/script").replace("<!--", r"\x3c!--")
