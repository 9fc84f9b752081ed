"""A whole network over codes on every port: every integer the reference's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cases.quantized_network import quantized_images, quantized_network
from test_op_cases import BATCHES, PORTS

from triport.exporter.graph import DType
from triport.exporter.graph.verify import verify
from triport.exporter.reference import run_graph
from triport.runtime_checks.parity import same_bits
from triport.runtime_checks.runners import get_runner
from triport.targets.prepare import prepare
from triport.targets.registry import get_target


@pytest.mark.parametrize("io", [DType.FLOAT32, DType.INT8])
@pytest.mark.parametrize("port", PORTS)
def test_every_bit_is_the_references(port: str, io: DType, tmp_path: Path) -> None:
    graph, target = quantized_network(io=io), get_target(port)
    prepared = prepare(graph, target)
    verify(prepared)
    artefact = tmp_path / target.artefact
    target.write(prepared, artefact, {})
    with get_runner(PORTS[port]).load(artefact) as session:
        for batch in BATCHES:
            inputs = quantized_images(batch, io=io)
            wanted, got = run_graph(graph, inputs), session.run(inputs)
            assert [name for name in wanted if not same_bits(got[name], wanted[name])] == []


def test_the_network_fills_its_codes() -> None:
    outputs = run_graph(quantized_network(), quantized_images(7))
    assert len(np.unique(outputs["middle"])) > 200 and len(np.unique(outputs["scores"])) > 40
    assert len(np.unique(outputs["shares"])) > 40
