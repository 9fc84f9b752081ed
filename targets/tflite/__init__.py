"""The mobile port: a graph written as a .tflite file, and the reading of such files."""

from __future__ import annotations

from .reader import Summary, summarize
from .target import TFLiteTarget

__all__ = ["Summary", "TFLiteTarget", "summarize"]
