"""`verify`: an export folder, checked again where it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..exporter.errors import UsageError
from ..exporter.given_model import graph_of
from ..exporter.graph import DType, Graph
from ..exporter.passes.input_layout import METADATA_KEY
from ..targets.packed.packings import packing_of
from ..targets.prepare import legalised
from ..targets.registry import OURS, get_target
from .manifest import check_files, download_bytes, fingerprint, golden_samples, read_manifest
from .report import PortReport, Report, host_facts
from .samples import Given, given_cases, golden_cases
from .truth import Truth, has_reference, make_truth, truth_by_golden
from .verification import choose_runners, notes_of_kernels, require_all, verify_port


def verify(
    folder: str | Path,
    *,
    model: Graph | str | Path | None = None,
    samples: Given | None = None,
    runners: Sequence[str] | None = None,
    strict_verify: bool = False,
) -> Report:
    """Runs the artefacts of an export folder and compares them with what the model answered when it was captured.

    model           the graph, .triport or .pt2 file that was exported: adds the float64 reference, samples of your own,
                    and the name of the first node that differs. Needs torch
    samples         further inputs to compare on; only with ``model``
    runners         runtimes instead of the usual ones
    strict_verify   a port that cannot be run here is an error

    Nothing is written. The report says what failed; FormatError is raised when a file is not the one that was exported.
    """
    folder = Path(folder)
    document = read_manifest(folder)
    ports: Mapping[str, Any] = document["ports"]
    packing = packing_of(folder / ports["web"]["artefact"]) if "web" in ports else None
    around = (packing, folder) if packing else None
    chosen = choose_runners(list(ports), runners, (document.get("quantization") or {}).get("scheme"), around)
    if strict_verify:
        require_all(chosen)
    for port in ports.values():
        check_files(folder, port)
    graph = _same_model(document, model) if model is not None else None
    truth = _truth(document, graph, samples)
    reports = []
    for name, port in ports.items():
        target = get_target(name, packing.name if packing else OURS)
        prepared = legalised(graph, target) if graph is not None else None
        results = verify_port(folder / port["artefact"], chosen[name], truth, target, prepared)
        size = sum(facts["bytes"] for facts in port["files"].values())
        fetched = download_bytes(port["files"])
        reports.append(PortReport(name, port["artefact"], size, fetched, dict(port.get("needs", {})), results))
    return Report(
        model=str(document["model"].get("name", "")),
        folder=str(folder),
        parameters=int(document["model"].get("parameters", 0)),
        weight_bytes=int(document["model"].get("weight_bytes", 0)),
        truth=truth.source if truth else "nothing",
        limits=truth.limits if truth else {},
        ports=reports,
        notes=[*(truth.notes() if truth else []), *notes_of_kernels(reports, document.get("quantization"))],
        host=host_facts(),
        quantization=document.get("quantization"),
    )


def _same_model(document: Mapping[str, Any], model: Graph | str | Path) -> Graph:
    """The graph as it was exported, once it is known to be that one; UsageError TP006 for another."""
    graph = graph_of(model, document.get(METADATA_KEY))
    if fingerprint(graph) != document["model"].get("sha256"):
        raise UsageError(
            "TP006",
            f'"{graph.name}" is not the model that this folder was exported from',
            help="name the .triport or .pt2 file that was exported, or export this one",
        )
    return graph


def _truth(document: Mapping[str, Any], graph: Graph | None, samples: Given | None) -> Truth | None:
    if graph is None and samples is not None:
        raise UsageError(
            "TP005",
            "samples need the model, which says what the answers should be",
            help="name it: triport verify dist/ --model model.triport --samples data.npz",
        )
    if graph is not None and has_reference():
        types = {value.name: value.type for value in graph.inputs}
        return make_truth(graph, given_cases(samples, types) if samples is not None else [])
    golden = golden_cases(golden_samples(document))
    if not golden:
        return None
    outputs = {output["name"]: DType(output["dtype"]) for output in document["outputs"]}
    exact = [output["name"] for output in document["outputs"] if output.get("exact") is True]
    return truth_by_golden(outputs, golden, exact)
