"""What gives accuracy back chooses other integers that are nearer to the float model, and never another function."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from quantize_nets import Named, answer, captured, conv_net, signal_to_noise
from torch import nn

import triport as tp
from triport.exporter.errors import UsageError
from triport.exporter.graph import Graph, Node
from triport.exporter.ops import Conv
from triport.quantize.canonical import canonical
from triport.quantize.recover import equalize


def test_equalising_changes_the_weights_and_not_what_is_computed() -> None:
    graph, samples = captured(conv_net(), 3, 8, 8)
    before = canonical(graph)
    after = canonical(graph)
    assert equalize(after)
    x = {"x": samples[:4]}
    np.testing.assert_allclose(answer(after, x), answer(before, x), rtol=1e-4, atol=1e-5)
    assert any(
        not np.array_equal(a.inputs[1].array(), b.inputs[1].array())
        for a, b in zip(_convs(before), _convs(after), strict=True)
    )


def test_channels_of_equalised_layers_use_their_codes_alike() -> None:
    module = nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), nn.Conv2d(4, 3, 1))
    graph, _ = captured(Named(module), 2, 4, 4)
    ready = canonical(graph)
    first = ready.nodes[0].inputs[1]
    factors = np.array([1, 10, 100, 0.1], np.float32).reshape(4, 1, 1, 1)
    uneven = np.multiply(first.array(), factors, dtype=np.float32)
    ready.set_inputs(
        ready.nodes[0], [ready.nodes[0].inputs[0], ready.rebuild_constant(first, uneven), ready.nodes[0].inputs[2]]
    )
    equalize(ready)
    first_range, second_range = (
        _ranges(node.inputs[1].array(), axis) for node, axis in zip(_convs(ready), (0, 1), strict=True)
    )
    np.testing.assert_allclose(first_range, second_range, rtol=1e-4)


class Twice(nn.Module):
    """Two readers of one layer: no factor can pass to both."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.first(x))
        return self.second(y) + y


@pytest.mark.parametrize(
    "module",
    [Twice(), Named(nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU6(), nn.Conv2d(4, 3, 1)))],
    ids=["two readers", "relu6 between"],
)
def test_layers_between_which_no_factor_passes_are_left_alone(module: nn.Module) -> None:
    graph, _ = captured(module, 2, 4, 4)
    assert not equalize(canonical(graph))


def test_bias_correction_keeps_the_mean_of_each_output() -> None:
    graph, samples = captured(Named(nn.Linear(32, 6)), 32)
    samples = np.abs(samples) + 1  # with a mean of 0 there would be nothing to correct
    graph = tp.capture(_coarse(graph), {"x": torch.randn(2, 32)}, dynamic={"x": {0: "batch"}})
    exact = answer(graph, {"x": samples})
    errors = []
    for recover in ((), ("bias",)):
        got = answer(tp.quantize(graph, calibration=samples, recover=recover), {"x": samples})
        errors.append(float(np.abs((got - exact).mean(0)).mean()))
    assert errors[1] < errors[0] / 2


def test_adaround_comes_nearer_to_the_outputs_than_rounding() -> None:
    graph, samples = captured(Named(nn.Sequential(nn.Linear(48, 40), nn.ReLU(), nn.Linear(40, 6))), 48, count=256)
    correlated = samples @ np.random.default_rng(1).normal(size=(48, 4)) @ np.random.default_rng(2).normal(size=(4, 48))
    x = correlated.astype(np.float32)
    exact = answer(graph, {"x": x})
    rounded = answer(tp.quantize(graph, calibration=x), {"x": x})
    chosen = answer(tp.quantize(graph, calibration=x, recover="adaround"), {"x": x})
    assert signal_to_noise(exact, chosen) > signal_to_noise(exact, rounded)


def test_data_that_are_read_twice_may_not_be_an_iterator() -> None:
    graph, samples = captured(Named(nn.Linear(8, 2)), 8)
    with pytest.raises(UsageError, match="a second time"):
        tp.quantize(graph, calibration=iter([{"x": samples}]), recover="bias")


def test_an_unknown_method_is_refused_with_those_that_are_known() -> None:
    graph, samples = captured(Named(nn.Linear(8, 2)), 8)
    with pytest.raises(UsageError, match="equalize, bias, adaround"):
        tp.quantize(graph, calibration=samples, recover="magic")


def _coarse(graph: Graph) -> nn.Module:
    """A linear layer whose weights lie a third of a code above one, so that all of them round down."""
    layer = nn.Linear(32, 6)
    step = 1 / 127
    codes = torch.randint(-100, 100, (6, 32)).float()
    codes[:, 0] = 127
    with torch.no_grad():
        layer.weight.copy_((codes + 0.33 * (codes != 127)) * step)
    return Named(layer).eval()


def _convs(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if isinstance(node.op, Conv)]


def _ranges(weight: np.ndarray, axis: int) -> np.ndarray:
    return np.abs(np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)).max(1)
