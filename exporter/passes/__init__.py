"""Passes from graph to graph, one idea a file; `pipeline` holds their order."""

from __future__ import annotations

from .pipeline import legalise

__all__ = ["legalise"]
