"""Other packings of the browser port: a file of another target, and a runtime from npm that runs it."""

from __future__ import annotations

from .packings import PACKINGS, Packing, packing_named, packing_of

__all__ = ["PACKINGS", "Packing", "packing_named", "packing_of"]
