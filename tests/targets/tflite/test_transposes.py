"""How many transposes stand in the files of whole torch networks: counted in the file, not in the graph."""

from __future__ import annotations

import pytest
import torch
from bench_transposes import captured, in_files
from torch_networks import SMALL


@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet-18", "U-Net"])
def test_convolutional_networks_have_none_inside(name: str) -> None:
    counts = in_files(captured(name, SMALL[name](), torch.randn(1, 3, 32, 32)))
    assert {port: count.inside for port, count in counts.items()} == {"onnx": 0, "tflite": 0, "web": 0}
    assert counts["onnx"].border == 0
    assert counts["tflite"].border == counts["web"].border == (2 if name == "U-Net" else 1)
