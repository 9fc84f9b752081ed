"""ONNX for servers."""

from __future__ import annotations

from .target import OnnxTarget

__all__ = ["OnnxTarget"]
