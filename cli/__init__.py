"""The command line: one file a verb, each loaded when it is called. Results on stdout, everything else on stderr."""

from __future__ import annotations

from .main import main, run

__all__ = ["main", "run"]
