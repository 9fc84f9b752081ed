"""The runtimes an artefact can be run in, by name. Importing this package loads none of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ...exporter.errors import UsageError
from ...targets.packed.packings import Packing
from .base import Clock, Missing, Runner, Session
from .chromium import Chromium
from .litert import Kernels, LiteRT
from .node import Node
from .onnx_runtime import OnnxRuntime
from .packed import PackedChromium, PackedNode
from .reference import Reference, ReferenceSession

__all__ = [
    "RUNNERS",
    "STRICT_ALONE",
    "Chromium",
    "Clock",
    "LiteRT",
    "Missing",
    "Node",
    "OnnxRuntime",
    "PackedChromium",
    "PackedNode",
    "Reference",
    "ReferenceSession",
    "Runner",
    "Session",
    "default_runners",
    "get_runner",
    "packed_runners",
]

RUNNERS: dict[str, Callable[[], Runner]] = {
    "onnxruntime": OnnxRuntime,
    "onnxruntime-plain": lambda: OnnxRuntime(level="off"),
    "litert": LiteRT,
    "litert-plain": lambda: LiteRT(kernels=Kernels.PLAIN),
    "litert-reference": lambda: LiteRT(kernels=Kernels.REFERENCE),
    "node": Node,
    "chromium": Chromium,
}
"""Every runtime of a port. Where several run the same port, `export` asks the first that is not left to the user."""

_DEFAULT = ("onnxruntime", "litert", "node")
STRICT_ALONE = ("litert-plain", "litert-reference")
"""Those in which int8-strict has the integers of the others, and int8 has not."""


def get_runner(name: str) -> Runner:
    """The runner called ``name``, in letters of any case; UsageError TP001 for an unknown one."""
    make = RUNNERS.get(str(name).lower())
    if make is None:
        raise UsageError(
            "TP001", f"there is no runtime called {name!r}", help=f"the runtimes are: {', '.join(RUNNERS)}"
        )
    return make()


def packed_runners(packing: Packing, near: Path, wanted: Sequence[str] | None = None) -> list[Runner]:
    """What a browser folder around a runtime from npm is checked in: Node, or the browser where it does not run there.

    near     the export folder: the runtime is looked for in node_modules there and above
    wanted   names of those that were asked for, instead
    """
    makes: dict[str, Callable[[], Runner]] = {
        "node": lambda: PackedNode(packing, near),
        "chromium": lambda: PackedChromium(packing, near),
    }
    names = [str(name).lower() for name in wanted or ()]
    chosen = [name for name in names if name in makes] or ["node" if packing.in_node else "chromium"]
    return [makes[name]() for name in chosen]


def default_runners(target: str, scheme: str | None = None) -> list[Runner]:
    """What an artefact of ``target`` is checked in when nothing else is asked for.

    A bundle goes to Node; to the browser where there is no Node but a browser. What is quantized by the scheme
    int8-strict goes to all kernels of LiteRT, for which it promises the same integers.
    """
    names = (*_DEFAULT, *(STRICT_ALONE if scheme == "int8-strict" else ()))
    runners = [runner for runner in map(get_runner, names) if runner.target == target]
    if target == "web" and runners[0].missing() and Chromium().missing() is None:
        return [Chromium()]
    return runners
