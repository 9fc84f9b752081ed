"""Inputs of 12 bits: two codes a cell, nearer to float32, and still the same integers in every runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from quantize_nets import Named, answer, captured, conv_net, signal_to_noise
from torch import nn

import triport as tp
from triport.exporter.errors import UsageError
from triport.exporter.ops import Concat, Conv, QuantizedConv
from triport.quantize import Plan, make_plan
from triport.targets.pairs import fits_in_pairs


class Pictures(nn.Module):
    """Scaled in float32 first, then read by a convolution with padding."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Linear(8 * 16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.last(torch.relu(self.first((x - 0.25) * 1.75)).flatten(1))
        return y


class Depthwise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, groups=3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.conv(x)
        return y


@pytest.mark.parametrize(
    ("module", "shape"),
    [(Pictures(), (3, 8, 8)), (Named(nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 4))), (12,))],
    ids=["convolution behind float32", "linear"],
)
@pytest.mark.parametrize("lowest", [None, 0.0], ids=["both signs", "none below 0"])
def test_two_codes_are_the_same_bits_in_every_runtime(
    module: nn.Module, shape: tuple[int, ...], lowest: float | None, tmp_path: Path
) -> None:
    graph, samples = captured(module, *shape, count=256)
    samples = samples if lowest is None else np.abs(samples) + np.float32(lowest)
    quantized = tp.quantize(graph, calibration=samples[:128], input_bits=12)
    assert sum(isinstance(node.op, Concat) for node in quantized.nodes) == 1
    report = tp.export(quantized, tmp_path)
    assert report.identical() == list(quantized.outputs)


def test_what_rounding_the_input_took_comes_back() -> None:
    graph, samples = captured(Named(nn.Conv2d(3, 40, 3)), 3, 12, 12)
    samples[0] *= 8  # codes that reach far are coarse
    exact = answer(graph, {"x": samples[1:]})
    plain, fine = (
        signal_to_noise(exact, answer(tp.quantize(graph, calibration=samples, input_bits=bits), {"x": samples[1:]}))
        for bits in (8, 12)
    )
    assert fine > plain + 1, (plain, fine)


def test_a_plan_keeps_the_bits_of_inputs() -> None:
    graph, samples = captured(conv_net(), 3, 8, 8)
    plan = make_plan(graph, calibration=samples, input_bits=12)
    read = Plan.from_json(plan.to_json())
    assert read.input_bits == 12
    x = {"x": samples[:4]}
    planned, asked = tp.quantize(graph, plan=read), tp.quantize(graph, calibration=samples, input_bits=12)
    np.testing.assert_array_equal(answer(planned, x), answer(asked, x))
    assert list(plan.difference(replace(plan, input_bits=8))) == ["input bits: 12 → 8"]


@pytest.mark.parametrize("recover", ["affine", "bias", "gptq"])
def test_methods_that_recover_know_both_codes(recover: str, tmp_path: Path) -> None:
    graph, samples = captured(conv_net(), 3, 8, 8)
    quantized = tp.quantize(graph, calibration=samples, input_bits=12, recover=recover)
    exact = answer(graph, {"x": samples})
    assert signal_to_noise(exact, answer(quantized, {"x": samples})) > 25


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("recover", [(), "gptq"])
def test_both_codes_of_paired_weights_fit_in_pairs(channels: int, recover: str) -> None:
    graph, samples = captured(Named(nn.Conv2d(channels, 8, 3)), channels, 6, 6)
    quantized = tp.quantize(graph, calibration=samples, input_bits=12, weights="paired", recover=recover)
    (node,) = (node for node in quantized.nodes if isinstance(node.op, QuantizedConv))
    assert isinstance(node.op, QuantizedConv)
    codes = node.inputs[1].array()
    assert codes.shape[1] == 2 * channels
    op = Conv(node.op.stride, node.op.padding, node.op.dilation, 1, node.op.layout)
    assert fits_in_pairs(op, codes, 2 * channels)


def test_bits_that_the_plan_decides_are_refused_beside_it() -> None:
    graph, samples = captured(Named(nn.Linear(8, 2)), 8)
    plans = {bits: make_plan(graph, calibration=samples, input_bits=bits) for bits in (8, 12)}
    with pytest.raises(UsageError, match="input_bits 12 would be ignored: the plan decides this") as raised:
        tp.quantize(graph, plan=plans[8], input_bits=12)
    assert raised.value.code == "TP005"
    assert tp.quantize(graph, plan=plans[12], input_bits=12).nodes


def test_a_reader_that_takes_no_second_code_is_named() -> None:
    graph, samples = captured(Depthwise(), 3, 6, 6)
    with pytest.raises(UsageError, match=r'"x" is read by .*conv') as caught:
        tp.quantize(graph, calibration=samples, input_bits=12)
    assert caught.value.code == "TP050"


@pytest.mark.parametrize(
    ("scheme", "options", "told"),
    [
        ("int8", {"io": "int8"}, "float32 inputs"),
        ("int8-strict", {}, "float32 inputs"),
        ("int8", {"keep_float": "*"}, "change nothing"),
        ("int8", {"input_bits": 16}, "8, 12"),
        ("float16", {}, "input_bits"),
    ],
)
def test_inputs_of_12_bits_are_refused_where_there_are_none(scheme: str, options: dict[str, str], told: str) -> None:
    graph, samples = captured(Named(nn.Linear(8, 2)), 8)
    given: dict[str, Any] = {"input_bits": 12} | ({} if scheme == "float16" else {"calibration": samples}) | options
    with pytest.raises(UsageError, match=told):
        tp.quantize(graph, scheme, **given)
