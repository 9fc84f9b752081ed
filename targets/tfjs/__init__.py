"""The TensorFlow.js port: a graph model, for pages that load TensorFlow.js already."""

from __future__ import annotations

from .target import TfjsTarget

__all__ = ["TfjsTarget"]
