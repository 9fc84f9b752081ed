"""The ports by name; each is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module

from ..exporter.errors import UsageError
from .target import Target

_TARGETS = {
    "onnx": (".onnx", "OnnxTarget"),
    "tflite": (".tflite", "TFLiteTarget"),
    "web": (".web", "WebTarget"),
}

TARGET_NAMES = tuple(_TARGETS)


def get_target(name: str) -> Target:
    """The port that ``--to`` calls ``name``, in letters of any case; UsageError for any other."""
    found = _TARGETS.get(str(name).lower())
    if found is None:
        raise UsageError(
            "TP001",
            f"unknown port {name!r}; the ports are {', '.join(TARGET_NAMES)}",
            help=f"triport export model.triport --to {','.join(TARGET_NAMES)}",
        )
    module, attribute = found
    target: Target = getattr(import_module(module, __package__), attribute)()
    return target
