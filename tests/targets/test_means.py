"""A mean over codes: one filter in the file, not one a channel."""

from __future__ import annotations

from pathlib import Path

import pytest
from cases.quantized import CASES

from triport.exporter.ops import QuantizedConv
from triport.targets.prepare import prepare
from triport.targets.registry import get_target


@pytest.mark.parametrize("port", ["onnx", "tflite"])
@pytest.mark.parametrize(("name", "all_written"), [("relu6", False), ("of_two_kinds", True)])
def test_channels_that_have_one_filter_share_its_bytes(port: str, name: str, all_written: bool, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == f"quantized_conv/whole_channels_{name}")
    graph, target = prepare(case.graph(), get_target(port)), get_target(port)
    target.write(graph, tmp_path / target.artefact, {})
    (conv,) = (node for node in graph.nodes if isinstance(node.op, QuantizedConv))
    filters = conv.inputs[1].array()
    rows = filters.reshape(len(filters), -1).T if port == "tflite" else filters  # LiteRT has the channels last
    written = (tmp_path / target.artefact).read_bytes()
    found = any(bytes(code ^ flip for code in rows.tobytes()) in written for flip in (0, 0x80))
    assert found == all_written
