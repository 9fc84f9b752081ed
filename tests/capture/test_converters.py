"""Every converter against torch in eager mode, in plain programs and in those that torch rewrote without writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from capture.arithmetic_cases import FUNCTIONS as ARITHMETIC
from capture.eager import Function, Function2, captured, exported, sample
from capture.elsewhere import FILES, SINGLE, file_of
from torch import nn

from triport.exporter.capture import capture
from triport.exporter.capture.convert import _converter
from triport.exporter.capture.registry import _CONVERTERS
from triport.exporter.reference import run_graph

IMAGE = (1, 4, 9, 7)
ROW = (1, 12)
SIGNAL = (1, 4, 9)
VOLUME = (1, 2, 5, 4, 6)


def _conv(*arguments: Any, **options: Any) -> nn.Module:
    return nn.Conv2d(*arguments, **options)


class Statistics(nn.Module):
    def __init__(self, affine: bool, layer: type[nn.modules.batchnorm._BatchNorm]) -> None:
        super().__init__()
        self.norm = layer(4, affine=affine)
        assert self.norm.running_mean is not None and self.norm.running_var is not None
        nn.init.uniform_(self.norm.running_mean, -1, 1)
        nn.init.uniform_(self.norm.running_var, 0.5, 2)

    def forward(self, x: torch.Tensor) -> Any:
        return self.norm(x)


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, 2, 1, bias=False), SIGNAL),
    "conv2d": (lambda: _conv(4, 6, (3, 2), (2, 1), (1, 0), dilation=(1, 2)), IMAGE),
    "conv2d groups": (lambda: _conv(4, 8, 3, groups=4), IMAGE),
    "conv2d same": (lambda: _conv(4, 6, (3, 4), padding="same", dilation=(2, 1)), IMAGE),
    "conv2d valid": (lambda: _conv(4, 6, 3, padding="valid"), IMAGE),
    "conv3d": (lambda: nn.Conv3d(2, 3, 3, padding=1), VOLUME),
    "conv_transpose1d": (lambda: nn.ConvTranspose1d(4, 3, 3, 2, 1, 1), SIGNAL),
    "conv_transpose2d": (lambda: nn.ConvTranspose2d(4, 6, 3, (2, 1), (1, 0), (1, 0), groups=2), IMAGE),
    "conv_transpose2d dilation": (lambda: nn.ConvTranspose2d(4, 6, 3, dilation=2, bias=False), IMAGE),
    "conv_transpose3d": (lambda: nn.ConvTranspose3d(2, 3, 2, 2), VOLUME),
    "linear": (lambda: nn.Linear(12, 5), ROW),
    "linear no bias": (lambda: nn.Linear(7, 5, bias=False), IMAGE),
    "batch_norm": (lambda: Statistics(True, nn.BatchNorm2d), IMAGE),
    "batch_norm without scale": (lambda: Statistics(False, nn.BatchNorm2d), IMAGE),
    "batch_norm of signals": (lambda: Statistics(True, nn.BatchNorm1d), SIGNAL),
    "layer_norm": (lambda: nn.LayerNorm((9, 7)), IMAGE),
    "layer_norm plain": (lambda: nn.LayerNorm(7, elementwise_affine=False), IMAGE),
    "layer_norm no bias": (lambda: nn.LayerNorm(7, bias=False), IMAGE),
    "max_pool1d": (lambda: nn.MaxPool1d(3, 2, 1), SIGNAL),
    "max_pool2d": (lambda: nn.MaxPool2d(3, 2, 1, dilation=(1, 2)), IMAGE),
    "max_pool2d ceil": (lambda: nn.MaxPool2d((2, 3), 2, ceil_mode=True), IMAGE),
    "max_pool2d ceil padding": (lambda: nn.MaxPool2d(3, 3, 1, ceil_mode=True), IMAGE),
    "max_pool2d ceil drops a window that starts outside": (lambda: nn.MaxPool2d(2, 3, 1, ceil_mode=True), IMAGE),
    "max_pool3d": (lambda: nn.MaxPool3d(2), VOLUME),
    "avg_pool1d": (lambda: nn.AvgPool1d(3, 2), SIGNAL),
    "avg_pool2d counted": (lambda: nn.AvgPool2d(3, 2, 1), IMAGE),
    "avg_pool2d left out": (lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), IMAGE),
    "avg_pool2d ceil": (lambda: nn.AvgPool2d(2, 2, ceil_mode=True), IMAGE),
    "avg_pool2d ceil left out": (lambda: nn.AvgPool2d(3, 2, 1, True, count_include_pad=False), IMAGE),
    "avg_pool3d": (lambda: nn.AvgPool3d(2, 1), VOLUME),
    "adaptive_avg_pool1d": (lambda: nn.AdaptiveAvgPool1d(3), SIGNAL),
    "adaptive_avg_pool2d": (lambda: nn.AdaptiveAvgPool2d(1), IMAGE),
    "adaptive_avg_pool2d parts": (lambda: nn.AdaptiveAvgPool2d((3, 7)), IMAGE),
    "adaptive_avg_pool3d": (lambda: nn.AdaptiveAvgPool3d(1), VOLUME),
    "adaptive_max_pool2d": (lambda: nn.AdaptiveMaxPool2d(1), IMAGE),
    "adaptive_avg_pool1d uneven": (lambda: nn.AdaptiveAvgPool1d(4), SIGNAL),
    "adaptive_max_pool1d": (lambda: nn.AdaptiveMaxPool1d(3), SIGNAL),
    "adaptive_max_pool3d": (lambda: nn.AdaptiveMaxPool3d(1), VOLUME),
    "max_pool1d with positions": (lambda: nn.MaxPool1d(2, return_indices=True), SIGNAL),
    "max_pool2d with positions": (lambda: nn.MaxPool2d(2, return_indices=True), IMAGE),
    "max_pool3d with positions": (lambda: nn.MaxPool3d(2, return_indices=True), VOLUME),
    "adaptive_max_pool2d parts": (lambda: nn.AdaptiveMaxPool2d((3, None)), IMAGE),
    "embedding": (lambda: nn.Sequential(Function(lambda x: x.abs().to(torch.int64)), nn.Embedding(9, 3)), ROW),
    "upsample nearest": (lambda: nn.Upsample(scale_factor=2), IMAGE),
    "upsample nearest size": (lambda: nn.Upsample((12, 5)), IMAGE),
    "upsample bilinear": (lambda: nn.Upsample(scale_factor=(2, 3), mode="bilinear"), IMAGE),
    "upsample align corners": (lambda: nn.Upsample((13, 8), mode="bilinear", align_corners=True), IMAGE),
    "upsample linear": (lambda: nn.Upsample(15, mode="linear"), SIGNAL),
    "upsample nearest 1d": (lambda: nn.Upsample(18), SIGNAL),
    "upsample trilinear": (lambda: nn.Upsample((7, 4, 6), mode="trilinear"), VOLUME),
    "upsample nearest 3d": (lambda: nn.Upsample((10, 4, 6)), VOLUME),
    "prelu": (lambda: nn.PReLU(4, 0.1), IMAGE),
    "prelu shared": (lambda: nn.PReLU(), ROW),
    "dropout": (
        lambda: nn.Sequential(nn.Dropout(), nn.Dropout2d(), nn.AlphaDropout(), nn.FeatureAlphaDropout()),
        IMAGE,
    ),
    "flatten": (lambda: nn.Sequential(nn.Flatten(1), nn.Unflatten(1, (6, 6, 7))), IMAGE),
}

FUNCTIONS: dict[str, tuple[Callable[[torch.Tensor], Any], tuple[int, ...]]] = {
    **{
        name: (getattr(F, name), ROW)
        for name in (
            *("relu", "relu6", "selu", "hardsigmoid", "hardswish", "silu", "softsign", "mish", "hardtanh"),
            *("leaky_relu", "elu", "gelu", "softplus", "celu", "logsigmoid", "tanh", "sigmoid"),
        )
    },
    "leaky_relu slope": (lambda x: F.leaky_relu(x, 0.3), ROW),
    "elu alpha": (lambda x: F.elu(x, 0.7), ROW),
    "celu alpha": (lambda x: F.celu(x, 0.7), ROW),
    "gelu tanh": (lambda x: F.gelu(x, approximate="tanh"), ROW),
    "softplus beta": (lambda x: F.softplus(x, 2.0), ROW),
    "hardtanh bounds": (lambda x: F.hardtanh(x, -0.5, 0.75), ROW),
    "threshold": (lambda x: F.threshold(x, 0, 0), ROW),
    "clamp": (lambda x: (x.clamp(-0.5, 1), x.clamp(max=0.3), x.clamp(min=0), x.clamp_min(0.1), x.clamp_max(0.2)), ROW),
    "clip": (lambda x: torch.clip(x, -1, 1), ROW),
    "softmax": (lambda x: (F.softmax(x, 1), F.softmax(x, -2), F.log_softmax(x, 1)), IMAGE),
    "softmin": (lambda x: F.softmin(x, 1), ROW),
    "unary": (
        lambda x: (x.exp(), x.abs().log(), x.abs().sqrt(), (x.abs() + 1).rsqrt(), -x, x.erf(), x.reciprocal()),
        ROW,
    ),
    "powers": (lambda x: (x.square(), x**2, x.abs() ** 0.5, x.abs() ** 1.7, x.abs() ** x), ROW),
    "numbers": (lambda x: (x + 1, 2 - x, x * 3, x / 4, 1 / x, x - 5, torch.add(x, x, alpha=2)), ROW),
    "rsub alpha": (lambda x: (torch.rsub(x, x, alpha=3), torch.sub(x, 2, alpha=3), torch.rsub(x, 1.5)), ROW),
    "extremes": (lambda x: (torch.maximum(x, -x), torch.minimum(x, x * 2), torch.max(x, -x), torch.min(x, -x)), ROW),
    "promotion": (lambda x: (x.to(torch.int32) + 1.5, x.to(torch.int32) / 2, x.to(torch.int64) + x, x + True), ROW),
    "made here": (
        lambda x: (
            *(x + torch.ones(12), x * torch.zeros(1, 12), x + torch.full((12,), 3.0)),
            *(x + x.new_ones(12), x - x.new_zeros(1), x + x.new_full((12,), 2), torch.ones_like(x[0]) + x),
            *(torch.zeros_like(x[0]) + x, torch.full_like(x[0], 2) * x),
            *(torch.empty(12).fill_(2) * x, torch.empty_like(x).zero_() + x, x.new_empty(12).fill_(1) + x),
            *(torch.empty_strided((3, 4), (4, 1)).fill_(1), x.new_empty_strided((3, 4), (4, 1)).fill_(1)),
            torch.empty_permuted((3, 4), (1, 0)).fill_(1),
        ),
        ROW,
    ),
    "integers": (lambda x: (x.to(torch.int32) * 2 - 1, x.to(torch.int64) + x.to(torch.int32), x.int().abs()), ROW),
    "integer roots": (lambda x: (x.int().abs().sqrt(), x.int().exp(), (x.int() + 9).reciprocal()), ROW),
    "type_as": (lambda x: x.int().type_as(x), ROW),
    "scalar tensor": (lambda x: x * torch.tensor(2.5) + torch.scalar_tensor(2.0), ROW),
    "lifted tensor": (lambda x: x * torch.tensor([1.0, 2.0, 3.0])[1], ROW),
    "clone": (lambda x: x.clone().contiguous().detach(), ROW),
    "view": (lambda x: (x.view(x.shape[0], -1), x.reshape(-1, 9, 7), x.flatten(2), x.reshape(-1, 2, 2, 9, 7)), IMAGE),
    "view_as": (lambda x: (x.flatten(1).view_as(x), x.flatten(1).reshape_as(x)), IMAGE),
    "squeeze": (lambda x: (x.unsqueeze(1).squeeze(1), x[:, :1].squeeze(1), x.unsqueeze(-1)), IMAGE),
    "permute": (lambda x: (x.permute(0, 2, 3, 1), x.transpose(1, -1), x.mT, x.swapaxes(2, 3), x[:, 0].mT), IMAGE),
    "t": (lambda x: (x.t(), x.T, torch.ones(12, 3).t() * x[:1]), ROW),
    "slices": (lambda x: (x[:, 1:3], x[:, :, -2:], x[:, ::2, 1:-1:3], x[:, 3:2].sum(), x[:, :99]), IMAGE),
    "slices of the batch": (lambda x: (x[:1], x[0]), IMAGE),
    "select": (lambda x: (x[:, 1], x[:, -1, 0], x[..., 2]), IMAGE),
    "narrow": (lambda x: (x.narrow(1, 1, 2), x.narrow(-1, 0, 3)), IMAGE),
    "chunk": (lambda x: torch.cat(x.chunk(2, 1)[::-1], 1), IMAGE),
    "split": (lambda x: torch.cat(torch.split(x, [1, 3], 1)[::-1], 1), IMAGE),
    "even split": (lambda x: torch.cat(torch.split(x, 4, 2)[::-1], 2), IMAGE),
    "unbind": (lambda x: torch.stack(x.unbind(1)[::-1]), IMAGE),
    "cat": (
        lambda x: (torch.cat([x, x * 2], 1), torch.cat([x, x]), torch.cat([x.int(), x], -1), torch.cat([x], 1)),
        IMAGE,
    ),
    "stack": (lambda x: (torch.stack([x, -x], 1), torch.stack([x, -x], -1)), ROW),
    "pad": (lambda x: (F.pad(x, (1, 2)), F.pad(x, (0, 1, 2, 3), value=1.5), F.pad(x, (-1, 2, 1, -3))), IMAGE),
    "pad channels": (lambda x: F.pad(x, (0, 0, 0, 0, 1, 2)), IMAGE),
    "index_select": (lambda x: x.index_select(1, torch.tensor([2, 0, 2])), IMAGE),
    "means": (lambda x: (x.mean(), x.mean(1), x.mean((2, 3), keepdim=True), x.mean(-1)), IMAGE),
    "sums": (lambda x: (x.sum(), x.sum((1, -1)), x.int().sum(1), x.sum(2, keepdim=True)), IMAGE),
    "amax": (lambda x: (x.amax(1), x.amax((2, 3), keepdim=True), x.amin(-1), x.amin()), IMAGE),
    "matmul": (lambda x: x.matmul(x.mT), IMAGE),
    "bmm": (lambda x: torch.bmm(x[:, 0], x[:, 1].mT), IMAGE),
    "mm": (lambda x: torch.mm(x.flatten(1), torch.ones(252, 2).mul(0.1)), IMAGE),
    **ARITHMETIC,
    "addmm": (lambda x: torch.addmm(torch.ones(3), x, torch.full((12, 3), 0.5)), ROW),
}


class Everything(nn.Module):
    """All cases on inputs of one shape, each a layer of its own, so that one export serves them all."""

    def __init__(self, shape: tuple[int, ...], write: bool) -> None:
        super().__init__()
        modules = {f"{name} layer": make() for name, (make, given) in MODULES.items() if given == shape}
        modules |= {
            f"{name} call": Function(function) for name, (function, given) in FUNCTIONS.items() if given == shape
        }
        self.cases = nn.ModuleDict(modules)
        self.write = write

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        if self.write:
            x = x.clone()
            x[:, 0].mul_(2)
        return {name: case(x) for name, case in self.cases.items()}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("shape", [IMAGE, ROW, SIGNAL, VOLUME], ids=str)
@pytest.mark.parametrize("write", [False, True], ids=["plain", "rewritten"])
def test_converters_answer_as_torch(shape: tuple[int, ...], write: bool) -> None:
    """A write through a view makes torch rewrite the whole program, which spells some ops in another way."""
    captured(Everything(shape, write), sample(*shape))


def test_two_inputs_that_broadcast() -> None:
    captured(Function2(lambda x, y: (x + y, x * y[:, :1], torch.maximum(x, y))), sample(2, 4), sample(2, 4, seed=1))


def test_choices_let_nan_pass_as_torch_does() -> None:
    def choices(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return F.threshold(x, 0.3, 9), F.hardshrink(x, 0.3), F.softshrink(x, 0.3), x.clamp(-1, 1), F.relu6(x)

    x = torch.tensor([[float("nan"), 0.2, 0.3, 0.4]])
    graph = capture(Function(choices), x)
    answers = run_graph(graph, {graph.inputs[0].name: x.numpy()})
    for answer, expected in zip(answers.values(), choices(x), strict=True):
        np.testing.assert_array_equal(answer, expected.numpy())


def test_an_embedding_of_integers() -> None:
    captured(nn.Embedding(11, 3), torch.tensor([[1, 10, 0], [2, 2, 5]]), dynamic={"input": {0: "batch"}})


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths", "ignore::FutureWarning")
def test_every_converter_is_used_by_a_case() -> None:
    """The table of converters has no entry that only looks supported."""
    used: set[object] = set()
    for shape in (IMAGE, ROW, SIGNAL, VOLUME):
        module = Everything(shape, write=True).eval()
        plain = exported(module, sample(*shape))
        for program in (plain, plain.run_decompositions({})):
            calls = [node for node in program.graph.nodes if node.op == "call_function"]
            used |= {_converter(node) for node in calls}
    unused = {name for name, made in _CONVERTERS.items() if made not in used and file_of(name) not in FILES}
    assert unused == {name for names in SINGLE.values() for name in names}
