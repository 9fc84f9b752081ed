"""What was checked, as data: the figures behind report.json, report.html and the table on the terminal."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..exporter.version import VERSION
from .divergence import Divergence
from .latency import Latency
from .parity import Check
from .tolerance import EXACT
from .truth import Limit


class Status(Enum):
    """How a port stands."""

    VERIFIED = "verified"
    FAILED = "failed"
    NOT_VERIFIED = "not verified"


@dataclass(frozen=True)
class RunnerReport:
    """One artefact in one runtime.

    reason       why it failed, or was not verified
    install      the line that makes it possible, where something is missing
    divergence   the first node that differs, where values do
    """

    runner: str
    version: str
    status: Status
    reason: str = ""
    install: str = ""
    checks: list[Check] = field(default_factory=list)
    latency: Latency | None = None
    divergence: Divergence | None = None

    @property
    def max_abs(self) -> float | None:
        """Largest difference over all cases and outputs; None when nothing was compared."""
        return max((check.max_abs for check in self.checks), default=None)

    @property
    def worst(self) -> Check | None:
        """The check that came closest to its bound, or went furthest beyond it."""
        return max(
            self.checks, key=lambda c: (not c.passed, c.max_abs / c.bound if c.bound else c.max_abs), default=None
        )

    @property
    def top1(self) -> tuple[int, int]:
        """Rows with the same top-1, and rows."""
        return sum(check.same_top1 for check in self.checks), sum(check.rows for check in self.checks)

    @property
    def problems(self) -> list[str]:
        """Every check that failed, in words."""
        return [f'output "{c.output}" on {c.case}: {c.problem}' for c in self.checks if not c.passed]


@dataclass(frozen=True)
class PortReport:
    """One artefact.

    bytes            of the file, or of all files of the folder
    download_bytes   what a device loads of it: the file, or what a page fetches to run the bundle
    needs            what it takes to run it: {"opset": "13", …}
    """

    target: str
    artefact: str
    bytes: int
    download_bytes: int
    needs: dict[str, str]
    runners: list[RunnerReport]
    reason: str = ""

    @property
    def status(self) -> Status:
        """FAILED when any runtime disagrees; VERIFIED when one ran it and all that ran agree."""
        states = {runner.status for runner in self.runners}
        if Status.FAILED in states:
            return Status.FAILED
        return Status.VERIFIED if Status.VERIFIED in states else Status.NOT_VERIFIED


@dataclass(frozen=True)
class Report:
    """One export or verification.

    folder   where the artefacts are
    truth    what ports were compared with
    limits   {output: what was allowed}
    notes    what a reader should know beside the figures
    host     versions and the machine the figures are from
    quantization   what a quantized graph says of itself: its scheme, its forms, and what stays float and why
    """

    model: str
    folder: str
    parameters: int
    weight_bytes: int
    truth: str
    limits: dict[str, Limit]
    ports: list[PortReport]
    notes: list[str]
    host: dict[str, str]
    quantization: dict[str, Any] | None = None

    @property
    def status(self) -> Status:
        """FAILED when a port failed, VERIFIED when all were, else NOT_VERIFIED."""
        states = {port.status for port in self.ports}
        if Status.FAILED in states:
            return Status.FAILED
        return Status.VERIFIED if states == {Status.VERIFIED} else Status.NOT_VERIFIED

    @property
    def passed(self) -> bool:
        return self.status is not Status.FAILED

    def identical(self) -> list[str]:
        """Outputs that are promised bit for bit, and that every runtime that ran gave so on every sample."""
        checks = [check for _, runner in self.rows() if runner for check in runner.checks]
        promised = [name for name, limit in self.limits.items() if limit.tolerance == EXACT]
        seen = {check.output for check in checks}
        wrong = {check.output for check in checks if check.max_abs or not check.passed}
        return [name for name in promised if name in seen and name not in wrong]

    def rows(self) -> Iterator[tuple[PortReport, RunnerReport | None]]:
        """Every artefact in every runtime that it was to run in."""
        for port in self.ports:
            yield from ((port, runner) for runner in port.runners) if port.runners else [(port, None)]

    def to_json(self) -> dict[str, Any]:
        """Plain data for json.dumps."""
        document = _plain(asdict(self))
        assert isinstance(document, dict)
        document["status"] = self.status.value
        document["bit_identical"] = self.identical()
        for port, entry in zip(self.ports, document["ports"], strict=True):
            entry["status"] = port.status.value
            for runner, figures in zip(port.runners, entry["runners"], strict=True):
                same, rows = runner.top1
                figures |= {"max_abs": _plain(runner.max_abs), "top1_same": same, "top1_rows": rows}
        return document

    def write(self, folder: Path) -> None:
        """report.json and report.html into a folder."""
        from .report_html import render

        text = json.dumps(self.to_json(), indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
        (folder / "report.json").write_text(text + "\n", "utf-8")
        (folder / "report.html").write_text(render(self), "utf-8")


def host_facts() -> dict[str, str]:
    """Versions and machine: what a figure cannot be read without."""
    facts = {
        "triport": VERSION,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": f"{_cpu_name()}, {os.cpu_count()} cores",
    }
    for package in ("numpy", "torch", "onnx"):
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            continue
    return facts


def _cpu_name() -> str:
    """What the system calls its processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:  # not a Linux
        pass
    return platform.processor() or platform.machine()


def _plain(data: object) -> Any:
    """JSON's own types; what JSON has no word for (infinity, enums, ops) as text."""
    if isinstance(data, dict):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(item) for item in data]
    if isinstance(data, Enum):
        return data.value
    if isinstance(data, float) and not math.isfinite(data):
        return str(data)
    return data
