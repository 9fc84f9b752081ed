"""Artefacts in their real runtimes: export with proof, verification, inspection."""

from __future__ import annotations

from .check import PortCheck, RefusedNode, check
from .export import ExportFailed, export
from .inspection import Summary, inspect
from .report import PortReport, Report, RunnerReport, Status
from .tolerance import CLOSE, EXACT, HALF, STEPS, Tolerance
from .verify import verify

__all__ = [
    "CLOSE",
    "EXACT",
    "HALF",
    "STEPS",
    "ExportFailed",
    "PortCheck",
    "PortReport",
    "RefusedNode",
    "Report",
    "RunnerReport",
    "Status",
    "Summary",
    "Tolerance",
    "check",
    "export",
    "inspect",
    "verify",
]
