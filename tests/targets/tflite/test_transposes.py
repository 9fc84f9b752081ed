"""How many transposes stand in the files of whole torch networks: counted in the file, not in the graph."""

from __future__ import annotations

import pytest
import torch
from bench_transposes import HAND_WRITTEN, captured, in_files
from torch_networks import SMALL


@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet-18", "U-Net"])
def test_convolutional_networks_have_none_inside(name: str) -> None:
    counts = in_files(captured(name, SMALL[name](), torch.randn(1, 3, 32, 32)))
    assert {port: count.inside for port, count in counts.items()} == {"onnx": 0, "tflite": 0, "web": 0}
    assert counts["onnx"].border == 0
    assert counts["tflite"].border == counts["web"].border == (2 if name == "U-Net" else 1)


@pytest.mark.parametrize("name", ["ShuffleNet", "Swin", "ConvNeXt", "MobileViT"])
def test_blocks_have_no_more_than_a_hand_written_file_but_to_be_quicker(name: str) -> None:
    counts = in_files(captured(name))
    least, _ = HAND_WRITTEN[name]
    apart = 2 if name == "Swin" else 0  # queries, keys and values of its wider block are computed apart, each turned
    assert counts["tflite"].inside == counts["web"].inside == least + apart
    assert counts["tflite"].border == 1


def test_torchs_own_encoder_takes_heads_apart_and_together_once_a_layer() -> None:
    name = "encoder, free length"
    counts = in_files(captured(name, SMALL[name](), torch.randint(0, 50, (1, 32))))
    assert (counts["tflite"].inside, counts["tflite"].border) == (2 * 4, 0)
    assert (counts["onnx"].inside, counts["onnx"].border) == (3 * 4, 0)  # ONNX has to turn the keys


def test_a_vision_transformer_takes_heads_apart_and_together_once_a_block() -> None:
    counts = in_files(captured("ViT-tiny", SMALL["ViT-tiny"](), torch.randn(1, 3, 32, 32)))
    assert (counts["tflite"].inside, counts["tflite"].border) == (2 * 2, 1)
