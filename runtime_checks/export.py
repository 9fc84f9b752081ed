"""`export`: a graph to artefacts in a folder, each proven in its real runtime before it is put into place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..exporter.errors import CheckError, FormatError, UsageError
from ..exporter.given_model import graph_of
from ..exporter.graph import Graph
from ..targets.packed.target import PackedTarget
from ..targets.registry import OURS, TARGET_NAMES, get_target
from ..targets.target import Target
from .destination import BROWSER, check_destination, kept_packages, notes_of_place
from .inspection import needs_of, parameter_count
from .manifest import (
    FILE,
    check_files,
    describe,
    download_bytes,
    file_sums,
    fingerprint,
    manifest,
    read_manifest,
    to_bytes,
)
from .preflight import check_weights, prepare_all
from .report import PortReport, Report, Status, host_facts
from .runners import Runner
from .samples import Given, given_cases
from .staging import Staging, disk_errors
from .truth import GOLDEN, Truth, make_truth
from .verification import choose_runners, notes_of_kernels, require_all, require_verified, verify_port

if TYPE_CHECKING:
    from torch.nn import Module

FAILED = "failed"
"""Sub-folder that takes the artefacts of an export whose verification failed."""


class ExportFailed(CheckError):
    """A port answers differently; ``report`` has the figures."""

    def __init__(self, report: Report, folder: Path) -> None:
        self.report = report
        self.folder = folder
        wrong = [(port, runner) for port, runner in report.rows() if runner and runner.status is Status.FAILED]
        port, runner = wrong[0]
        first = runner.divergence if runner else None
        super().__init__(
            "TP507",
            f"{port.target} in {runner.runner} answers differently: {runner.reason}",
            at=str(first) if first else None,
            because=f"{len(wrong)} of {sum(1 for _ in report.rows())} runs failed" if len(wrong) > 1 else None,
            help=f"the artefacts and the report are in {folder}; nothing else was changed",
        )

    def __reduce__(self) -> tuple[object, ...]:
        return (ExportFailed, (self.report, self.folder))


def export(
    model: Graph | Module | str | Path,
    out_dir: str | Path,
    to: Sequence[str] = TARGET_NAMES,
    *,
    samples: Given | None = None,
    verify: bool = True,
    strict_verify: bool = False,
    runners: Sequence[str] | None = None,
    input_layout: str | None = None,
    web_runtime: str = OURS,
    progress: Callable[[str], None] = lambda step: None,
) -> Report:
    """Writes a model for the ports in ``to`` and proves that they answer as the model does.

    model           a graph, a model of triport's, or the path of a .triport or .pt2 file (torch.export.save)
    out_dir         made if it is not there; artefacts of an earlier export are replaced whole, nothing else is
    samples         further inputs to compare on, {input name: array [rows, …]} or an .npz file
    verify          False writes without running anything; torch is then not imported
    strict_verify   a port that cannot be run here is an error, not a line in the report
    runners         runtimes to check in instead of the usual ones: onnxruntime, litert, node, chromium …
    input_layout    "nhwc": images that the model takes as [N, C, H, W] are [N, H, W, C] in every artefact, and in
                    ``samples``; a phone and a browser then need not turn them
    web_runtime     what the browser port runs in: "triport", our own kernels, which need nothing else; or "ort",
                    "litert" or "tfjs", runtimes that the page brings from npm (docs/web-runtimes.md)
    progress        is told what happens, in a few words

    Returns the report, which lies beside the artefacts as report.json and report.html too. Raises UsageError when
    ``out_dir`` holds somebody else's files where artefacts would go, ModelError when a port cannot express the model
    (every such node is named; nothing is written), CheckError when a port answers differently (its ``report`` says
    what; the artefacts go to ``out_dir/failed``, what was in ``out_dir`` stays), and EnvironmentError_ when the folder
    cannot be written.
    """
    targets = chosen_targets(to, web_runtime)
    folder = _folder(out_dir, targets)
    if not verify and (samples is not None or strict_verify or runners):
        raise UsageError(
            "TP005",
            "without verification there is nothing for samples, strict verification or chosen runtimes to do",
            help="leave out --no-verify (verify=False), or leave out the others",
        )
    packed = next((target for target in targets if isinstance(target, PackedTarget)), None)
    around = (packed.packing, folder) if packed else None
    chosen = choose_runners([target.name for target in targets], runners, None, around) if verify else {}
    if strict_verify:
        require_all(chosen)
    graph = graph_of(model, input_layout)
    if verify:
        facts = graph.metadata.get("quantization") or {}
        chosen = choose_runners([target.name for target in targets], runners, facts.get("scheme"), around)
    if packed:
        packed.check(graph)
    extra = given_cases(samples, {value.name: value.type for value in graph.inputs}) if samples is not None else []
    prepared = prepare_all(graph, targets)
    check_weights(graph)
    description = describe(graph, fingerprint(graph))
    with Staging(folder) as staging:
        for target in targets:
            progress(f"writing {target.artefact}")
            with disk_errors(folder):
                target.write(prepared[target.name], staging.path / target.artefact, description)
        truth = None
        if verify:
            progress("computing the reference")
            truth = make_truth(graph, extra)
        ports: list[PortReport] = []
        for target in targets:
            if verify:
                progress(f"checking {target.artefact}")
            ports.append(_port(target, staging.path, chosen.get(target.name, []), truth, prepared[target.name]))
        if strict_verify:
            require_verified(ports)
        packages, lost = kept_packages(folder, staging.path)
        kept, notes = _earlier_ports(folder, description, [target.name for target in targets])
        report = make_report(graph, folder, truth, ports, [*notes_of_place(folder, targets), *lost, *notes])
        _publish(staging, graph, description, kept, report, packages)
    return report


def make_report(
    graph: Graph, folder: Path, truth: Truth | None, ports: list[PortReport], notes: Sequence[str] = ()
) -> Report:
    """The report, with the notes that the truth gives rise to."""
    about_truth: list[str] = []
    if truth:
        about_truth += truth.notes()
    if truth and truth.source == GOLDEN:
        about_truth.append("ports were compared with the golden samples alone: the float64 reference needs torch")
    return Report(
        model=graph.name,
        folder=str(folder),
        parameters=parameter_count(graph),
        weight_bytes=graph.stored_bytes(),
        truth=truth.source if truth else "nothing",
        limits=truth.limits if truth else {},
        ports=ports,
        notes=[*graph.notices, *notes, *about_truth, *notes_of_kernels(ports, graph.metadata.get("quantization"))],
        host=host_facts(),
        quantization=graph.metadata.get("quantization"),
    )


def chosen_targets(to: Sequence[str], web_runtime: str = OURS) -> list[Target]:
    """The ports by their names, in letters of any case; UsageError TP001 for none, an unknown one, or one twice.

    UsageError TP005 for a web runtime without the browser port.
    """
    names = list(to) if isinstance(to, Iterable) and not isinstance(to, str) else [to]
    targets = [get_target(name, web_runtime) for name in names]
    if not names or len({target.name for target in targets}) != len(names):
        known = ", ".join(TARGET_NAMES)
        raise UsageError("TP001", f"to must name each port once, got {names}", help=f"the ports are: {known}")
    if web_runtime != OURS and not any(target.name == "web" for target in targets):
        raise UsageError(
            "TP005",
            f"a web runtime ({web_runtime}) packs the browser port, and that is not among {', '.join(names)}",
            help=f"--to web --web-runtime {web_runtime}, or leave --web-runtime out",
        )
    return targets


def _folder(out_dir: str | Path, targets: Sequence[Target]) -> Path:
    if out_dir == "":
        raise UsageError("TP001", "the output folder has an empty name", help="-o . writes into the current folder")
    folder = Path(out_dir)
    with disk_errors(folder):
        check_destination(folder, targets)
    return folder


def _port(target: Target, folder: Path, runners: Sequence[Runner], truth: Truth | None, prepared: Graph) -> PortReport:
    artefact = folder / target.artefact
    files = file_sums(folder, target.artefact)
    return PortReport(
        target.name,
        target.artefact,
        sum(facts["bytes"] for facts in files.values()),
        download_bytes(files),
        needs_of(artefact),
        verify_port(artefact, runners, truth, target, prepared) if runners else [],
        reason="" if runners else "verification was left out",
    )


def _earlier_ports(
    folder: Path, description: Mapping[str, Any], written: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """Ports of an earlier export that stay in the folder: those of the same model, and notes about the others."""
    if not (folder / FILE).exists():
        return {}, []
    try:
        earlier = read_manifest(folder)
    except FormatError as error:
        return {}, [f"the folder held a damaged {FILE}, which was replaced: {error.message}"]
    kept: dict[str, Any] = {}
    notes: list[str] = []
    for name, port in earlier["ports"].items():
        if name in written:
            continue
        try:
            check_files(folder, port)
        except FormatError as error:
            notes.append(f"{port['artefact']} of an earlier export is no longer listed in {FILE}: {error.message}")
            continue
        if earlier["model"] == description["model"]:
            kept[name] = port
        else:
            notes.append(f"{port['artefact']} is of another model and no longer listed in {FILE}; it was left as it is")
    return kept, notes


def _publish(
    staging: Staging,
    graph: Graph,
    description: Mapping[str, Any],
    kept: Mapping[str, Any],
    report: Report,
    packages: Sequence[str],
) -> None:
    """Puts everything into place; a failed export goes to a place of its own."""
    failed = report.status is Status.FAILED
    ports: dict[str, Any] = {} if failed else dict(kept)
    for port in report.ports:
        files = file_sums(staging.path, port.artefact)
        ports[port.target] = {"artefact": port.artefact, "needs": port.needs, "files": files}
    with disk_errors(staging.folder):
        (staging.path / FILE).write_bytes(to_bytes(manifest(description, ports, graph.samples)))
        report.write(staging.path)
    staging.discard(FAILED)
    for name in sorted(path.name for path in staging.path.iterdir()):
        if failed:
            staging.publish(name, under=FAILED)
        else:
            staging.publish(name, keep=packages if name == BROWSER else ())
    if failed:
        raise ExportFailed(report, staging.folder / FAILED)
