"""What is left of the transposes of whole networks, and what their nodes are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from passes.build import BATCH, CLAMPS, Builder, count, legalised
from torch import nn

from triport.exporter.capture import capture
from triport.exporter.graph import Graph, Value
from triport.exporter.graph.verify import verify
from triport.exporter.ops import Add, BatchNorm, Conv, ConvTranspose, Layout, Linear, Relu, Reshape, Transpose

FIRST, LAST = Layout.CHANNELS_FIRST, Layout.CHANNELS_LAST
FUSES = {Conv: CLAMPS, ConvTranspose: CLAMPS, Linear: CLAMPS, Add: CLAMPS}


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = _conv(4, 4), nn.BatchNorm2d(4), _conv(4, 4)

    def forward(self, x: torch.Tensor) -> Any:
        return F.relu(x + self.second(F.relu(self.norm(self.first(x)))))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down, self.bottom, self.up = _conv(3, 6), _conv(6, 8), nn.ConvTranspose2d(8, 6, 2, 2)
        self.out = _conv(15, 2)

    def forward(self, x: torch.Tensor) -> Any:
        wide = F.relu(self.down(x))
        deep = F.relu(self.bottom(F.max_pool2d(wide, 2)))
        return self.out(torch.cat([wide, self.up(deep), x], 1))


class SqueezeExcite(nn.Module):
    def __init__(self, dense: bool) -> None:
        super().__init__()
        self.stem, self.dense = _conv(3, 8), dense
        self.squeeze = nn.Linear(8, 2) if dense else _conv(8, 2, 1)
        self.excite = nn.Linear(2, 8) if dense else _conv(2, 8, 1)

    def forward(self, x: torch.Tensor) -> Any:
        x = self.stem(x)
        if self.dense:
            scale = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3))))))[:, :, None, None]
        else:
            scale = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        return self.stem(x[:, :3] * scale[:, :3])


class PatchSequence(nn.Module):
    """Patches of an image as a sequence of vectors: the entry of a vision transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.norm, self.head = nn.Conv2d(3, 8, 2, 2), nn.LayerNorm(8), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(self.norm(self.patches(x).flatten(2).transpose(1, 2)))


class PadAndResize(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)

    def forward(self, x: torch.Tensor) -> Any:
        x = self.first(F.pad(x, (1, 2, 1, 0)))
        return self.second(F.pad(F.interpolate(x, scale_factor=2), (1, 1, 1, 1), value=1.0))


def _chain(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*layers)


# Model, and how many transposes stay around it in channels last: at the image that comes in, and at one that goes out.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "chain": (_chain(_conv(3, 4), nn.BatchNorm2d(4), nn.ReLU6(), _conv(4, 5, 3, 2), nn.MaxPool2d(2)), 2),
    "residual": (lambda: nn.Sequential(_conv(3, 4), Residual(), Residual()), 2),
    "residual at the input": (lambda: nn.Sequential(_conv(3, 3), nn.ReLU(), _Skip(_conv(3, 3))), 2),
    "u-net": (UNet, 2),
    "squeeze and excite": (lambda: SqueezeExcite(dense=False), 2),
    "squeeze and excite by linear layers": (lambda: SqueezeExcite(dense=True), 2),
    "classifier": (_chain(_conv(3, 4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 5), nn.Softmax(1)), 1),
    "flatten before relu": (_chain(_conv(3, 4), nn.Flatten(), nn.ReLU(), nn.Linear(4 * 64, 5)), 1),
    "global pool": (_chain(_conv(3, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)), 1),
    "global max pool": (_chain(_conv(3, 4), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 5)), 1),
    "prelu": (_chain(_conv(3, 4), nn.PReLU(4), _conv(4, 2), nn.PReLU(), _conv(2, 2)), 2),
    "pad and resize": (PadAndResize, 2),
    "softmax over channels": (_chain(_conv(3, 4), nn.Softmax(1)), 2),
    "patches": (PatchSequence, 1),
    "one channel": (_chain(_conv(3, 1), nn.ReLU(), _conv(1, 1), nn.Sigmoid()), 1),
}


class _Skip(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> Any:
        return torch.cat([x, self.inner(x) + x], 1)


def _captured(which: str) -> Graph:
    torch.manual_seed(0)
    module = NETWORKS[which][0]()
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            assert norm.running_mean is not None and norm.running_var is not None
            assert norm.running_mean is not None and norm.running_var is not None
            nn.init.uniform_(norm.running_mean, -1, 1)
            nn.init.uniform_(norm.running_var, 0.5, 2)
    return capture(module, torch.randn(1, 3, 8, 8))


@pytest.mark.parametrize("which", NETWORKS)
def test_torch_networks_keep_transposes_at_their_border_only(which: str) -> None:
    graph = _captured(which)
    last = legalised(graph, LAST, fuses=FUSES)
    assert count(last, Transpose) <= NETWORKS[which][1]
    for node in last.nodes:
        if isinstance(node.op, Transpose):
            at_input = node.inputs[0] in last.inputs
            assert at_input or last.is_output(node.output), f"{node!r} stands inside"
    first = legalised(graph, FIRST, fuses=FUSES)
    assert count(first, Transpose) == (1 if which == "patches" else 0)


NAMES = {
    "chain": ["0/transpose", "0", "3", "4", "4/transpose_back"],
    "residual": [
        "0/transpose",
        "0",
        "1.first",
        "1.second",
        "1/add",
        "2.first",
        "2.second",
        "2/add",
        "2/relu/transpose",
    ],
    "classifier": ["0/transpose", "0", "2/reshape", "3", "4"],
    "global pool": ["0/transpose", "0", "1", "3"],
    "prelu": ["0/transpose", "0", "1", "2", "3", "4", "4/transpose_back"],
    "softmax over channels": ["0/transpose", "0", "1", "1/transpose"],
}


@pytest.mark.parametrize("which", NAMES)
def test_nodes_are_called_as_their_layers(which: str) -> None:
    prepared = legalised(_captured(which), LAST, fuses=FUSES)
    assert [node.name for node in prepared.nodes] == NAMES[which]


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("which", NETWORKS)
def test_no_name_carries_the_mark_of_a_rebuild(which: str, layout: Layout) -> None:
    assert "~" not in str(legalised(_captured(which), layout, fuses=FUSES))


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("which", ["residual", "u-net", "squeeze and excite"])
def test_the_same_graph_gives_the_same_text(which: str, layout: Layout) -> None:
    graph = _captured(which)
    assert str(legalised(graph, layout, fuses=FUSES)) == str(legalised(graph.copy(), layout, fuses=FUSES))


def test_layers_alone_are_left_of_a_chain() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.norm, self.act = _conv(3, 4), nn.BatchNorm2d(4), nn.ReLU()
            self.body, self.head = _conv(4, 4), nn.Linear(256, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scores: torch.Tensor = self.head(self.body(self.act(self.norm(self.stem(x)))).flatten(1))
            return scores

    prepared = legalised(capture(Net(), torch.randn(1, 3, 8, 8)), LAST, fuses=FUSES)
    assert [node.name for node in prepared.nodes] == ["stem/transpose", "stem", "body", "flatten", "head"]


def _channels_last_net(b: Builder) -> Value:
    """As the layers of this package write it: channels last throughout, each convolution between two transposes."""
    x = b.input(8, 8, 3)

    def layer(x: Value, outputs: int, name: str) -> Value:
        moved = b.add(Transpose((0, 3, 1, 2)), x, name=f"{name}/transpose")
        y = b.conv(moved, outputs, name=name)
        return b.add(Transpose((0, 2, 3, 1)), y, name=f"{name}/transpose")

    h = b.add(Relu(), b.batch_norm(layer(x, 4, "stem"), axis=3), name="relu")
    h = b.add(Relu(), b.add(Add(), layer(h, 4, "block"), h, name="sum"), name="relu2")
    return b.linear(b.add(Reshape((BATCH, 256)), h, name="flatten"), 5, "head")


def test_channels_last_networks_keep_none_and_only_the_two_at_the_border_in_channels_first() -> None:
    b = Builder()
    graph = b.done(_channels_last_net(b))
    last = legalised(graph, LAST, fuses=FUSES)
    assert [node.name for node in last.nodes] == ["stem", "block", "sum", "flatten", "head"]
    first = legalised(graph, FIRST, fuses=FUSES)
    assert [node.name for node in first.nodes if isinstance(node.op, Transpose)] == ["stem/transpose"]
    assert count(first, BatchNorm) == 0


def test_a_second_pipeline_changes_nothing_more() -> None:
    b = Builder()
    once = legalised(b.done(_channels_last_net(b)), LAST, fuses=FUSES)
    again = legalised(once, LAST, fuses=FUSES)
    verify(again)
    assert str(again) == str(once)
