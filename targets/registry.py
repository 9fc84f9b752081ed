"""The ports by name; each is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module

from ..exporter.errors import UsageError
from .packed.packings import OURS, WEB_RUNTIMES, packing_named
from .target import Target

_TARGETS = {
    "onnx": (".onnx", "OnnxTarget"),
    "tflite": (".tflite", "TFLiteTarget"),
    "web": (".web", "WebTarget"),
}

TARGET_NAMES = tuple(_TARGETS)

__all__ = ["OURS", "TARGET_NAMES", "WEB_RUNTIMES", "get_target"]


def get_target(name: str, web_runtime: str = OURS) -> Target:
    """The port that ``--to`` calls ``name``, in letters of any case; UsageError for any other.

    web_runtime   what the browser port is packed around, in letters of any case; the other ports know nothing of it
    """
    found = _TARGETS.get(str(name).lower())
    if found is None:
        raise UsageError(
            "TP001",
            f"unknown port {name!r}; the ports are {', '.join(TARGET_NAMES)}",
            help=f"triport export model.triport --to {','.join(TARGET_NAMES)}",
        )
    packing = packing_named(web_runtime)
    if str(name).lower() == "web" and packing is not None:
        from .packed.target import PackedTarget

        return PackedTarget(packing)
    module, attribute = found
    target: Target = getattr(import_module(module, __package__), attribute)()
    return target
