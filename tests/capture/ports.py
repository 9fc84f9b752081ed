"""A captured module on all three ports, against the graph's reference in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from capture.eager import captured
from torch import nn

from triport.exporter.graph import Graph
from triport.exporter.graph.verify import verify
from triport.runtime_checks.parity import check_port
from triport.runtime_checks.runners import get_runner
from triport.runtime_checks.samples import Case
from triport.runtime_checks.truth import truth_by_reference
from triport.targets.prepare import prepare
from triport.targets.registry import get_target

RUNTIMES = {"onnx": "onnxruntime", "tflite": "litert", "web": "node"}

Examples = Sequence[torch.Tensor]


def assert_ports_agree(
    folder: Path,
    module: nn.Module,
    examples: Examples,
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
    others: Sequence[Examples] = (),
    ports: Sequence[str] = tuple(RUNTIMES),
) -> Graph:
    """The graph; its answers are the module's on the examples and on others, in torch and on every port."""
    graph = captured(module, *examples, dynamic=dynamic, others=others)
    names = [value.name for value in graph.inputs]
    cases = [
        Case(f"case {i}", {name: x.numpy() for name, x in zip(names, given, strict=True)}, {}, False)
        for i, given in enumerate([examples, *others])
    ]
    truth = truth_by_reference(graph, cases)
    failed = []
    for port in ports:
        target = get_target(port)
        prepared = prepare(graph, target)
        verify(prepared)
        target.write(prepared, folder / target.artefact, {})
        with get_runner(RUNTIMES[port]).load(folder / target.artefact) as session:
            checks = check_port(session, truth)
        failed += [f"{port}, {check.case}: {check.problem}" for check in checks if not check.passed]
    assert not failed
    return graph
