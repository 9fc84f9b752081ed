"""report.html: the figures of a report on one page that needs nothing beside itself."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from .wording import bytes_text, difference_text, float_nodes_text, identical_text, seconds_text

if TYPE_CHECKING:
    from .report import PortReport, Report, RunnerReport

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0; --paper: #fff; --band: #f6f8fa;
  --good: #1a7f37; --bad: #c62828; --open: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #9aa4af; --line: #3a424b; --paper: #14181d;
  --band: #1d232a; --good: #4cc267; --bad: #ff7b72; --open: #e3b341; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 72rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.1rem; margin: 2.25rem 0 .5rem; }
p { margin: .4rem 0; max-width: 46rem; }
.soft { color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .45rem .7rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; color: var(--soft); white-space: nowrap; }
td.number, th.number { text-align: right; white-space: nowrap; }
tbody tr:nth-child(even) { background: var(--band); }
.verified { color: var(--good); font-weight: 600; } .failed { color: var(--bad); font-weight: 600; }
.not-verified { color: var(--open); font-weight: 600; }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; } td code { white-space: nowrap; }
details { margin: .5rem 0; } summary { cursor: pointer; }
li { margin: .2rem 0; max-width: 46rem; }
"""


def render(report: Report) -> str:
    """The whole page."""
    parts = [
        f"<h1>{escape(report.model)}: {_status(report.status.value)}</h1>",
        f'<p class="soft">{report.parameters:,} parameters, {bytes_text(report.weight_bytes)} of weights. '
        f"{escape(_what_was_done(report))}</p>",
        "<h2>Ports</h2>",
        _table(_PORT_HEAD, [_port_row(port, runner) for port, runner in report.rows()]),
        _problems(report),
        _notes([*filter(None, (identical_text(report), float_nodes_text(report.quantization))), *report.notes]),
        "<h2>What was allowed</h2>",
        _table(_LIMIT_HEAD, [_limit_row(name, report) for name in report.limits]),
        "<h2>Every check</h2>",
        *(_checks(port, runner) for port, runner in report.rows() if runner and runner.checks),
        "<h2>Measured on</h2>",
        _table([("What", False), ("Version", False)], [[(k, False), (v, False)] for k, v in report.host.items()]),
    ]
    title = f"{report.model}: {report.status.value}"
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n" + "\n".join(filter(None, parts)) + "\n</html>\n"
    )


def _what_was_done(report: Report) -> str:
    if report.truth == "nothing":
        return "Nothing was run."
    which = "Every port" if report.status.value != "not verified" else "Each port that is marked verified"
    return f"{which} was loaded in its real runtime and compared with the {report.truth}."


_Cell = tuple[str, bool]
"""Text (HTML when it starts with ``<``) and whether it is a number."""

_PORT_HEAD = [
    ("Port", False),
    ("File", False),
    ("Download", True),
    ("Runtime", False),
    ("Status", False),
    ("Largest difference", True),
    ("Allowed", True),
    ("Same top-1", True),
    ("ms per inference, median / fastest", True),
]
_LIMIT_HEAD = [
    ("Output", False),
    ("Tolerance", False),
    ("Range of the output", True),
    ("float32's own error", True),
    ("Allowed", True),
]


def _port_row(port: PortReport, runner: RunnerReport | None) -> list[_Cell]:
    state = runner.status.value if runner else port.status.value
    same, rows = runner.top1 if runner else (0, 0)
    worst = runner.worst if runner else None
    latency = runner.latency if runner else None
    times = f"{seconds_text(latency.median)} / {seconds_text(latency.fastest)} {latency.clock}" if latency else "–"
    return [
        (port.target, False),
        (f"<code>{escape(port.artefact)}</code>", False),
        (bytes_text(port.download_bytes), True),
        (f"{runner.runner} {runner.version}" if runner else "–", False),
        (_status(state), False),
        (difference_text(worst.max_abs, worst.bound) if worst else "–", True),
        (difference_text(worst.bound) if worst else "–", True),
        (f"{same} of {rows}" if rows else "–", True),
        (times, True),
    ]


def _limit_row(name: str, report: Report) -> list[_Cell]:
    limit = report.limits[name]
    figures = (limit.span, limit.float32_error, limit.bound)
    return [(name, False), (limit.tolerance.name, False), *((difference_text(figure), True) for figure in figures)]


def _problems(report: Report) -> str:
    items: list[str] = []
    for port, runner in report.rows():
        who = f"{port.target} in {runner.runner}" if runner else port.target
        reason = runner.reason if runner else port.reason
        if reason:
            hint = f" <code>{escape(runner.install)}</code>" if runner and runner.install else ""
            items.append(f"<li>{escape(who)}: {escape(reason)}.{hint}</li>")
        if runner and runner.divergence:
            divergence = runner.divergence
            items.append(f"<li>{escape(who)}: {escape(str(divergence))}. Seen in {escape(divergence.seen)}.</li>")
    return f"<h2>What is not as it should be</h2><ul>{''.join(items)}</ul>" if items else ""


def _notes(notes: list[str]) -> str:
    return f"<h2>Notes</h2><ul>{''.join(f'<li>{escape(note)}</li>' for note in notes)}</ul>" if notes else ""


def _checks(port: PortReport, runner: RunnerReport) -> str:
    head = [
        ("Samples", False),
        ("Output", False),
        ("Largest difference", True),
        ("Allowed", True),
        ("Same top-1", True),
    ]
    rows: list[list[_Cell]] = [
        [
            (check.case, False),
            (check.output, False),
            (difference_text(check.max_abs, check.bound), True),
            (difference_text(check.bound), True),
            (f"{check.same_top1} of {check.rows}" if check.rows else "–", True),
            (_status("verified" if check.passed else "failed"), False),
            (check.problem, False),
        ]
        for check in runner.checks
    ]
    count = f"{len(rows)} checks" if len(rows) != 1 else "1 check"
    summary = f"{escape(port.target)} in {escape(runner.runner)}: {count}"
    return f"<details><summary>{summary}</summary>{_table([*head, ('Status', False), ('', False)], rows)}</details>"


def _status(text: str) -> str:
    return f'<span class="{text.replace(" ", "-")}">{escape(text)}</span>'


def _table(head: list[_Cell], rows: list[list[_Cell]]) -> str:
    titles = "".join(f"<th{_number(number)}>{escape(text)}</th>" for text, number in head)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(cell: _Cell) -> str:
    text, number = cell
    return f"<td{_number(number)}>{text if text.startswith(('<span', '<code')) else escape(text)}</td>"


def _number(is_number: bool) -> str:
    return ' class="number"' if is_number else ""
