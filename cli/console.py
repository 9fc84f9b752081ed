"""How results look on a terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ..exporter.errors import UsageError

if TYPE_CHECKING:
    from ..runtime_checks import PortReport, Report, RunnerReport

_PLAIN_WIDTH = 160
"""Columns of a table that goes to a file or a pipe, where nothing says how wide it may be."""

_COLOURS = {"verified": "green", "failed": "red", "not verified": "yellow"}


def say(text: str) -> None:
    """Progress and advice: one line on stderr."""
    click.echo(text, err=True)


def print_json(document: Any) -> None:
    """The result for a program."""
    click.echo(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))


def print_table(
    head: list[str], rows: list[list[str]], *, numbers: frozenset[int] = frozenset(), coloured: int | None = None
) -> None:
    """A table on stdout.

    head       titles of the columns; all empty: none are shown
    numbers    columns that are set flush right
    coloured   the column that holds a status
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(head))
    for i, title in enumerate(head):
        table.add_column(title, justify="right" if i in numbers else "left", overflow="fold")
    for row in rows:
        cells = [Text(text, _COLOURS.get(text, "") if i == coloured else "") for i, text in enumerate(row)]
        table.add_row(*cells)
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PLAIN_WIDTH, no_color=True)
    console.print(table)


def print_report(report: Report) -> None:
    """The table of an export or a verification, and on stderr what its reader should know."""
    from ..runtime_checks.wording import bytes_text, float_nodes_text, identical_text

    head = ["port", "file", "download", "runtime", "status", "difference", "allowed", "same top-1", "ms"]
    rows = [_row(port, runner, bytes_text(port.download_bytes)) for port, runner in report.rows()]
    print_table(head, rows, numbers=frozenset({2, 5, 6, 7, 8}), coloured=4)
    for port, runner in report.rows():
        if runner and runner.status.value == "not verified":
            hint = f": {runner.install}" if runner.install else ""
            say(f"{port.target} not verified in {runner.runner}: {runner.reason}{hint}")
        for problem in runner.problems if runner else []:
            say(f"{port.target} in {runner.runner if runner else ''}: {problem}")
        if runner and runner.divergence:
            say(f"{port.target} in {runner.runner}: {runner.divergence}")
    for text in filter(None, (identical_text(report), float_nodes_text(report.quantization))):
        say(text)
    for note in report.notes:
        say(f"note: {note}")


def names(option: str, text: str | None) -> list[str] | None:
    """``onnx,tflite`` as a list; None stays None. UsageError TP001 for an empty name."""
    if text is None:
        return None
    found = [name.strip() for name in text.split(",")]
    if not any(found):
        raise UsageError(
            "TP001", f"{option} names nothing, got {text!r}", help=f"leave {option} out for the usual ones"
        )
    if not all(found):
        raise UsageError("TP001", f"{option} {text!r} is not a list of names such as onnx,tflite")
    return found


def _row(port: PortReport, runner: RunnerReport | None, size: str) -> list[str]:
    from ..runtime_checks.wording import difference_text, seconds_text

    status = runner.status.value if runner else port.status.value
    if runner is None:
        return [port.target, port.artefact, size, "", status, "", "", "", ""]
    worst, (same, rows) = runner.worst, runner.top1
    return [
        port.target,
        port.artefact,
        size,
        f"{runner.runner} {runner.version}".strip(),
        status,
        difference_text(worst.max_abs, worst.bound) if worst else "",
        difference_text(worst.bound) if worst else "",
        f"{same}/{rows}" if rows else "",
        seconds_text(runner.latency.median) if runner.latency else "",
    ]
