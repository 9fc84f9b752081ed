"""The browser port: kernels compiled to WebAssembly ahead of time, and a plan made from the graph."""

from __future__ import annotations

from .target import WebTarget

__all__ = ["WebTarget"]
