"""One artefact in its runtimes: loaded, run, compared, timed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..exporter.errors import CheckError, EnvironmentError_, TriportError, UsageError
from ..exporter.graph import Graph
from ..targets.packed.packings import Packing
from ..targets.target import Target
from .divergence import Divergence, first_divergence
from .latency import measure
from .parity import Check, check_port
from .report import PortReport, RunnerReport, Status
from .runners import STRICT_ALONE, Runner, default_runners, get_runner, packed_runners
from .samples import Case
from .truth import Truth, has_reference

NO_TRUTH = "nothing to compare with: torch is not installed and the model carries no golden samples"


def choose_runners(
    targets: Sequence[str],
    wanted: Sequence[str] | None,
    scheme: str | None = None,
    packed: tuple[Packing, Path] | None = None,
) -> dict[str, list[Runner]]:
    """{target: runtimes}: those asked for, and the usual ones where none of them runs the target.

    scheme   by which the graph was quantized
    packed   the runtime from npm that the browser port is packed around, and the export folder

    UsageError TP005 when one that was asked for runs no port of this export.
    """
    asked = [get_runner(name) for name in wanted or ()]
    idle = [runner for runner in asked if runner.target not in targets]
    if idle:
        names = ", ".join(runner.name for runner in idle)
        needed = list(dict.fromkeys([*targets, *(runner.target for runner in idle)]))
        raise UsageError(
            "TP005",
            f"{names} would have nothing to run: the ports are {', '.join(targets)}",
            help=f"leave it out, or export its port too: triport export model.triport --to {','.join(needed)}",
        )
    chosen = {name: [r for r in asked if r.target == name] or default_runners(name, scheme) for name in targets}
    if packed is not None and "web" in chosen:
        chosen["web"] = packed_runners(*packed, wanted)
    return chosen


def require_all(runners: dict[str, list[Runner]]) -> None:
    """EnvironmentError_ TP313 when a port has no runtime here that can run it."""
    for target, choices in runners.items():
        gaps = [missing for runner in choices if (missing := runner.missing())]
        if gaps:
            raise EnvironmentError_("TP313", f"{target} cannot be verified here: {gaps[0].what}", help=gaps[0].install)


def require_verified(ports: Iterable[PortReport]) -> None:
    """EnvironmentError_ TP313 when a runtime was there and nothing came of it."""
    for port in ports:
        for runner in port.runners:
            if runner.status is Status.NOT_VERIFIED:
                raise EnvironmentError_(
                    "TP313",
                    f"{port.target} was not verified in {runner.runner}: {runner.reason}",
                    help=runner.install or "pass samples that the model can answer",
                )


def verify_port(
    artefact: Path, runners: Sequence[Runner], truth: Truth | None, target: Target, prepared: Graph | None
) -> list[RunnerReport]:
    """What each runtime says.

    prepared   the graph the artefact was written from, where it is known: a failure then names the first node
    """
    return [_verify_in(runner, artefact, truth, target, prepared) for runner in runners]


def _verify_in(
    runner: Runner, artefact: Path, truth: Truth | None, target: Target, prepared: Graph | None
) -> RunnerReport:
    if missing := runner.missing():
        return RunnerReport(runner.name, "", Status.NOT_VERIFIED, missing.what, missing.install)
    version = runner.version()
    if truth is not None and truth.left_out and not truth.cases:
        return RunnerReport(runner.name, version, Status.NOT_VERIFIED, f"nothing was compared: {truth.left_out[0]}", "")
    if truth is None or not truth.cases:
        return RunnerReport(runner.name, version, Status.NOT_VERIFIED, NO_TRUTH, "pip install 'triport[train]'")
    try:
        with runner.load(artefact) as session:
            checks = check_port(session, truth)
            latency = measure(session, truth.cases[0].label, truth.cases[0].inputs)
    except EnvironmentError_ as error:  # found, and yet it does not start
        return RunnerReport(runner.name, version, Status.NOT_VERIFIED, error.message, error.help or "")
    except (CheckError, UsageError) as error:
        reason = f"{error.message}: {error.because}" if error.because else error.message
        return RunnerReport(runner.name, version, Status.FAILED, reason)
    failed = [check for check in checks if not check.passed]
    if not failed:
        return RunnerReport(runner.name, version, Status.VERIFIED, checks=checks, latency=latency)
    found = _divergence(runner, artefact, truth, target, prepared, failed[0])
    reason = f'output "{failed[0].output}" on {failed[0].case}: {failed[0].problem}'
    return RunnerReport(runner.name, version, Status.FAILED, reason, checks=checks, latency=latency, divergence=found)


def notes_of_kernels(ports: Iterable[PortReport], quantization: Mapping[str, Any] | None) -> list[str]:
    """What helps where int8 differs in kernels for which it promises nothing."""
    failed = [run.runner for port in ports for run in port.runners if run.status is Status.FAILED]
    plain = [name for name in failed if name in STRICT_ALONE]
    if not plain or (quantization or {}).get("scheme") != "int8":
        return []
    return [
        f"scheme int8 promises its integers for LiteRT with XNNPACK, its default, and not for {', '.join(plain)}: "
        "triport quantize --strict chooses integers that agree there as well"
    ]


def _divergence(
    runner: Runner, artefact: Path, truth: Truth, target: Target, prepared: Graph | None, failed: Check
) -> Divergence | None:
    if prepared is None or not has_reference():
        return None
    case: Case = next(case for case in truth.cases if case.label == failed.case)
    try:
        return first_divergence(prepared, target, runner, artefact, case.inputs, case.label)
    except TriportError:  # the search is a service; the failure itself is reported in any case
        return None
