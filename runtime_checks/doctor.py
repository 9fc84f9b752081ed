"""What is installed here, and which ports can be verified with it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..targets.packed.packings import PACKINGS, Packing
from ..targets.registry import TARGET_NAMES
from .report import host_facts
from .runners import Missing, Reference, Runner, default_runners, get_runner
from .runners.packed import find_modules, installed_version


@dataclass(frozen=True)
class Component:
    """One thing that triport uses.

    use       what for
    version   empty where it is missing
    missing   why it cannot be used; empty where it can
    install   the line that installs it
    """

    name: str
    use: str
    version: str
    missing: str = ""
    install: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """ports: {port: "" when it can be verified here, else why not}"""

    components: list[Component]
    ports: dict[str, str]
    host: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


_PACKAGES = {
    "numpy": ("arrays", "pip install numpy"),
    "onnx": ("writing model.onnx", "pip install onnx"),
    "flatbuffers": ("writing model.tflite", "pip install flatbuffers"),
    "safetensors": ("reading .triport files elsewhere", "pip install safetensors"),
    "torchmetrics": ("metrics while training", "pip install 'triport[train]'"),
}

_USES = {
    "onnxruntime": "verifying the server port",
    "litert": "verifying the mobile port, with XNNPACK",
    "node": "verifying the browser port",
    "chromium": "verifying the browser port in a browser: --in chromium",
}


def doctor() -> Diagnosis:
    """Looks at everything; starts nothing but programs that are asked for their version."""
    torch = _runtime("torch", "training, capture, and the float64 reference", Reference())
    runtimes = [_runtime(name, use, get_runner(name)) for name, use in _USES.items()]
    runtimes += [_packing(packing) for packing in PACKINGS.values()]
    ports: dict[str, str] = {}
    for target in TARGET_NAMES:
        gaps = [gap for runner in default_runners(target) if (gap := runner.missing())]
        ports[target] = f"{gaps[0].what}: {gaps[0].install}" if gaps else ""
    return Diagnosis([*map(_package, _PACKAGES), torch, *runtimes], ports, host_facts())


def _packing(packing: Packing) -> Component:
    use = f"verifying --web-runtime {packing.name}"
    found = find_modules(packing, Path.cwd())
    if isinstance(found, Missing):
        return Component(packing.title, use, "", found.what, found.install)
    return Component(packing.title, use, installed_version(packing, found))


def _package(name: str) -> Component:
    use, install = _PACKAGES[name]
    try:
        return Component(name, use, version(name))
    except PackageNotFoundError:
        return Component(name, use, "", f"{name} is not installed", install)


def _runtime(name: str, use: str, runner: Runner) -> Component:
    missing = runner.missing()
    if missing:
        return Component(name, use, "", missing.what, missing.install)
    return Component(name, use, runner.version())
