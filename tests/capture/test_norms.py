"""Normalisation by a sample's own statistics: as torch computes it, on every port, at any batch, without transposes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from capture.eager import Function, captured, sample
from capture.ports import assert_ports_agree
from torch import nn

from triport.exporter.ops import Transpose
from triport.targets.prepare import prepare
from triport.targets.registry import get_target

IMAGE = (2, 6, 5, 4)
SIGNAL = (2, 6, 5)
VOLUME = (2, 6, 3, 2, 4)

NORMS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "groups": (lambda: nn.GroupNorm(2, 6), IMAGE),
    "one group": (lambda: nn.GroupNorm(1, 6), IMAGE),
    "a group a channel": (lambda: nn.GroupNorm(6, 6), IMAGE),
    "groups without scale": (lambda: nn.GroupNorm(3, 6, affine=False), IMAGE),
    "groups of signals": (lambda: nn.GroupNorm(3, 6), SIGNAL),
    "groups of vectors": (lambda: nn.GroupNorm(3, 24), (2, 24)),
    "groups of volumes": (lambda: nn.GroupNorm(3, 6), VOLUME),
    "instance 1d": (lambda: nn.InstanceNorm1d(6, affine=True), SIGNAL),
    "instance 2d": (lambda: nn.InstanceNorm2d(6), IMAGE),
    "instance 3d": (lambda: nn.InstanceNorm3d(6, affine=True), VOLUME),
    "instance with stored statistics": (lambda: nn.InstanceNorm2d(6, track_running_stats=True), IMAGE),
    "root mean square": (lambda: nn.RMSNorm(4), IMAGE),
    "root mean square of two axes": (lambda: nn.RMSNorm((5, 4), eps=1e-3, elementwise_affine=False), IMAGE),
    "local response": (lambda: nn.LocalResponseNorm(3), IMAGE),
    "local response of signals": (lambda: nn.LocalResponseNorm(2, 1e-2, 0.5, 2.0), SIGNAL),
    "local response of volumes": (lambda: nn.LocalResponseNorm(2), VOLUME),
    "batch": (lambda: nn.BatchNorm2d(6, track_running_stats=False), IMAGE),
}


@pytest.mark.parametrize("name", NORMS)
def test_norm_on_every_port(name: str, tmp_path: Path) -> None:
    make, shape = NORMS[name]
    others = [[sample(n, *shape[1:], seed=n)] for n in (1, 7)]
    assert_ports_agree(tmp_path, _with_scales(make()), [sample(*shape)], others=others)


def test_batch_norm_of_statistics_that_come_in(tmp_path: Path) -> None:
    class Given(nn.Module):
        def forward(self, x: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor) -> Any:
            return F.batch_norm(x, mean, variance)

    examples = [sample(*IMAGE), sample(6), sample(6, seed=1).abs()]
    assert_ports_agree(tmp_path, Given(), examples, {"x": {0: "batch"}})


aten: Any = torch.ops.aten
SCALE, SHIFT = torch.linspace(0.5, 2, 6), torch.linspace(-1, 1, 6)

DECOMPOSED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "native_layer_norm": lambda x: aten.native_layer_norm(x, [4], SCALE[:4], SHIFT[:4], 1e-3)[0],
    "native_group_norm": lambda x: aten.native_group_norm(x, SCALE, SHIFT, x.shape[0], 6, 20, 3, 1e-3)[0],
    "_fused_rms_norm": lambda x: aten._fused_rms_norm(x, [4], SCALE[:4], 1e-3)[0],
    "_native_batch_norm_legit": lambda x: aten._native_batch_norm_legit(x, SCALE, SHIFT, True, 0.1, 1e-3)[0],
}
"""Norms as programs spell them that torch has decomposed."""


@pytest.mark.parametrize("name", DECOMPOSED)
def test_norm_of_a_decomposed_program(name: str) -> None:
    captured(Function(DECOMPOSED[name]), sample(*IMAGE))


@pytest.mark.parametrize("name", ["groups", "one group", "instance 2d"])
def test_norm_between_convolutions_brings_no_transpose(name: str, tmp_path: Path) -> None:
    norm = NORMS[name][0]()
    module = nn.Sequential(nn.Conv2d(3, 6, 3), norm, nn.ReLU(), nn.Conv2d(6, 4, 3))
    graph = assert_ports_agree(tmp_path, _with_scales(module), [sample(1, 3, 8, 8)], ports=("tflite",))
    prepared = prepare(graph, get_target("tflite"))
    assert sum(isinstance(node.op, Transpose) for node in prepared.nodes) == 2, "of the image and of the answer"


def _with_scales(module: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 2)
    return module
