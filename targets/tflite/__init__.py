"""The mobile port: a graph written as a .tflite file, and the reading of such files."""

from __future__ import annotations

from .target import TFLiteTarget

__all__ = ["TFLiteTarget"]
