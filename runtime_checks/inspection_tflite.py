"""What a TFLite file says of itself."""

from __future__ import annotations

from pathlib import Path

from .inspection import Summary


def inspect_tflite(path: Path) -> Summary:
    """Summary of a .tflite file; FormatError TP41x when it is damaged."""
    raise NotImplementedError


def needs_tflite(path: Path) -> dict[str, str]:
    """The oldest runtime that loads it."""
    return {}
