"""What gives accuracy back chooses other integers that are nearer to the float model, and never another function."""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt
import pytest
import torch
from quantize_nets import Named, answer, captured, conv_net, signal_to_noise
from torch import nn

import triport as tp
from triport.exporter.errors import UsageError
from triport.exporter.graph import DType, Graph, Node, TensorType
from triport.exporter.ops import Conv, ConvTranspose, Layout, Linear, MatMul
from triport.quantize import make_plan
from triport.quantize.canonical import canonical
from triport.quantize.recover import equalize
from triport.quantize.recover.gptq import gptq
from triport.quantize.recover.layers import channel_axis, is_roundable, rows_of
from triport.quantize.store_weights import operands_of

LAST = Layout.CHANNELS_LAST


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


class Steep(nn.Module):
    """Layers that make much of little: what rounding adds grows from one to the next."""

    def __init__(self, depth: int = 9) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(24, 24) for _ in range(depth))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(torch.tanh(6 * x))
        return x


def test_a_line_takes_back_what_noise_adds_to_outputs() -> None:
    graph, samples = captured(Named(Steep()), 24, count=512)
    exact = answer(graph, {"x": samples})
    gains = {}
    for recover in ((), ("bias",), ("affine",)):
        quantized = tp.quantize(graph, calibration=samples[:384], recover=recover)
        gains[recover] = signal_to_noise(exact[384:], answer(quantized, {"x": samples[384:]}))
    assert gains["affine",] > max(gains[()], gains["bias",]) + 0.2, gains


def test_a_line_changes_scales_and_biases_and_no_code() -> None:
    graph, samples = captured(conv_net(), 3, 8, 8)
    plain, moved = (tp.quantize(graph, calibration=samples, recover=recover) for recover in ((), "affine"))
    changed: set[int] = set()
    for before, after in zip(plain.nodes, moved.nodes, strict=True):
        assert before.op == after.op
        for i, (a, b) in enumerate(zip(before.inputs, after.inputs, strict=True)):
            changed |= {i} if a.is_constant and not np.array_equal(a.array(), b.array()) else set()
    assert changed == {2, 3}  # of x, codes, scales and biases


def test_channels_that_hardly_move_keep_their_biases() -> None:
    conv, norm = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
    module = Named(nn.Sequential(conv, norm, nn.ReLU(), nn.Conv2d(16, 4, 1)))
    _, samples = captured(module, 3, 8, 8)
    with torch.no_grad():
        norm.weight.copy_(torch.where(torch.arange(16) % 2 > 0, torch.logspace(-9, -6, 16), torch.ones(16)))
        norm.bias.fill_(1.0)
    graph = tp.capture(module, {"x": torch.randn(2, 3, 8, 8)}, dynamic={"x": {0: "batch"}})
    exact = answer(graph, {"x": samples})
    plain, moved = (
        signal_to_noise(exact, answer(tp.quantize(graph, calibration=samples, recover=recover), {"x": samples}))
        for recover in ((), "affine")
    )
    assert moved > plain - 0.5, (plain, moved)


class Share(nn.Module):
    """A quotient that is finite in float32, and 0 / 0 where both round to 0."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(16, 8, bias=False), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.first(x))
        y = self.last(torch.relu(self.second(y / y.sum(-1, keepdim=True))))
        return y


def test_where_codes_become_nan_no_line_is_drawn() -> None:
    graph, samples = captured(Share(), 16, count=128)
    samples = samples[np.isfinite(answer(graph, {"x": samples})).all(1)]
    few = samples[:8] * np.float32(1e-3)
    exact = answer(graph, {"x": samples})
    plain, moved = (
        signal_to_noise(
            exact,
            answer(tp.quantize(graph, calibration=np.concatenate([few, samples]), recover=recover), {"x": samples}),
        )
        for recover in ((), "affine")
    )
    assert moved > plain - 1, (plain, moved)


@pytest.mark.parametrize("recover", ["affine", "bias"])
@pytest.mark.parametrize(
    ("number", "count", "told"), [(np.nan, 8, "NaN or infinity"), (np.inf, 8, "NaN or infinity"), (1, 0, "no samples")]
)
def test_samples_beside_a_plan_are_looked_at(recover: str, number: float, count: int, told: str) -> None:
    graph, samples = captured(Named(nn.Linear(8, 2)), 8)
    plan = make_plan(graph, calibration=samples)
    samples[3, 0] = number
    with pytest.raises(UsageError, match=told) as raised:
        tp.quantize(graph, plan=plan, calibration=samples[:count], recover=recover)
    assert raised.value.code == "TP051"


def test_a_line_is_drawn_of_as_many_samples_as_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    affine = sys.modules["triport.quantize.recover.affine"]
    graph, samples = captured(Named(nn.Linear(8, 4)), 8)
    batches = [{"x": samples[start : start + 8]} for start in (0, 8, 16)]
    for cells, rows in ((4 * 64, [8, 8, 8]), (4 * 19, [8, 8, 3]), (4 * 16, [8, 8]), (4 * 3, [3]), (1, [2])):
        monkeypatch.setattr(affine, "CELLS", cells)
        given, _ = affine._few(graph, batches)
        assert [len(batch["x"]) for batch in given] == rows


def test_of_one_sample_no_line_is_drawn() -> None:
    graph, samples = captured(Named(nn.Linear(8, 2)), 8)
    plain, moved = (tp.quantize(graph, calibration=samples[:1], recover=recover) for recover in ((), "affine"))
    for before, after in zip(plain.nodes, moved.nodes, strict=True):
        for a, b in zip(before.inputs[1:], after.inputs[1:], strict=True):
            np.testing.assert_array_equal(a.array(), b.array())
    assert any("recover affine changed nothing" in notice for notice in moved.notices)


@pytest.mark.parametrize(
    ("scheme", "recover", "told"),
    [
        ("int8", ["affine", "bias"], "both choose every bias"),
        ("int8-strict", ["affine"], "powers of two"),
        ("int8-strict", ["affine", "bias"], "powers of two"),
    ],
)
def test_a_line_where_it_would_be_idle_or_cannot_be_is_refused(scheme: str, recover: list[str], told: str) -> None:
    graph, samples = captured(Named(nn.Linear(8, 2)), 8)
    with pytest.raises(UsageError, match=told):
        tp.quantize(graph, scheme, calibration=samples, recover=recover)


@pytest.mark.parametrize("recover", ["adaround", "gptq", ["adaround", "affine"], ["gptq", "affine"]])
def test_codes_for_the_outputs_come_nearer_to_them_than_rounding(recover: str | list[str]) -> None:
    graph, samples = captured(Named(nn.Sequential(nn.Linear(48, 40), nn.ReLU(), nn.Linear(40, 6))), 48, count=256)
    correlated = samples @ np.random.default_rng(1).normal(size=(48, 4)) @ np.random.default_rng(2).normal(size=(4, 48))
    x = correlated.astype(np.float32)
    exact = answer(graph, {"x": x})
    rounded = answer(tp.quantize(graph, calibration=x), {"x": x})
    chosen = answer(tp.quantize(graph, calibration=x, recover=recover), {"x": x})
    assert signal_to_noise(exact, chosen) > signal_to_noise(exact, rounded)


def test_inputs_that_say_nothing_of_one_another_leave_the_nearest_codes() -> None:
    random = np.random.default_rng(3)
    weights, steps = random.normal(0, 9, (2, 5, 70)), np.broadcast_to(random.uniform(0.5, 2, (2, 5, 1)), (2, 5, 70))
    rows = np.repeat(np.diag(random.uniform(0.1, 9, 70)).astype(np.float32)[:, None], 2, 1)
    np.testing.assert_array_equal(gptq(weights, steps, rows, -7, 7), np.clip(np.rint(weights / steps), -7, 7))


def test_what_one_weight_loses_the_next_makes_up_for() -> None:
    rows = np.ones((4, 1, 2), np.float32)  # both inputs are the same: only the sum of the weights counts
    found = gptq(np.full((1, 1, 2), 0.4), np.ones((1, 1, 2)), rows, -7, 7)
    assert found.sum() == 1  # of 0.8; the nearest codes are 0 and 0


def test_filters_longer_than_memory_allows_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(4)
    weights, steps = random.normal(0, 9, (1, 6, 90)), np.ones((1, 6, 90))
    rows = random.normal(0, 1, (300, 1, 4)) @ random.normal(0, 1, (4, 90))

    def lost(codes: npt.NDArray[np.float64]) -> float:
        return float(np.square((codes - weights)[0] @ rows[:, 0].T).sum())

    whole = gptq(weights, steps, rows.astype(np.float32), -127, 127)
    monkeypatch.setattr(sys.modules["triport.quantize.recover.gptq"], "LONGEST", 32)
    cut = gptq(weights, steps, rows.astype(np.float32), -127, 127)
    assert lost(whole) < lost(cut) < lost(np.rint(weights))


LAYERS = {
    "conv": (Conv((2, 1), ((1, 0), (0, 2)), (1, 2), 2), (3, 4, 7, 9), (6, 2, 3, 2)),
    "conv, channels last": (Conv((1, 2), ((0, 0), (1, 1)), (2, 1), 1, LAST), (3, 7, 9, 4), (5, 2, 3, 4)),
    "depthwise, channels last": (Conv((1, 1), ((1, 1), (1, 1)), (1, 1), 4, LAST), (3, 5, 5, 4), (8, 3, 3, 1)),
    "conv1d": (Conv((2,), ((2, 1),), (1,)), (3, 4, 11), (6, 4, 4)),
    "conv3d": (Conv((1, 2, 1), ((1, 1),) * 3, (1, 1, 1)), (2, 2, 4, 5, 3), (3, 2, 2, 3, 2)),
    "transposed": (ConvTranspose((2, 3), ((1, 0), (0, -1)), (1, 2)), (3, 4, 5, 4), (4, 6, 3, 2)),
    "transposed, cut": (ConvTranspose((2,), ((3, 2),), (1,)), (3, 4, 6), (4, 2, 2)),
    "transposed, channels last": (ConvTranspose((2, 1), ((1, 1), (0, 1)), (1, 1), 1, LAST), (2, 4, 5, 3), (5, 3, 2, 3)),
    "linear": (Linear(), (3, 4, 5), (6, 5)),
    "product": (MatMul(), (3, 4, 5), (5, 6)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_rows_times_filters_are_the_outputs(name: str) -> None:
    op, shape, weight_shape = LAYERS[name]
    random = np.random.default_rng(5)
    x, weight = (random.normal(size=sizes).astype(np.float32) for sizes in (shape, weight_shape))
    graph = Graph("layer")
    value = graph.add_input("x", TensorType(DType.FLOAT32, shape))
    graph.set_output("y", graph.add(op, value, graph.add_constant(weight, "w")))
    y = graph.run({"x": x})["y"]
    (node,) = graph.nodes
    outputs = np.moveaxis(y, channel_axis(node), -1)
    outputs = outputs.reshape(-1, outputs.shape[-1])
    rows = rows_of(node, 1, x, random, 400)
    ((operand, depth),) = [(w.value, w.depth) for w in operands_of(node)][-1:]
    assert operand is node.inputs[1] and is_roundable(node, 1)
    last = tuple(range(weight.ndim - len(depth), weight.ndim))
    filters = np.moveaxis(weight, depth, last).reshape(rows.shape[1], -1, rows.shape[2])
    products = (np.asarray(rows, np.float32)[:, :, None] * filters).sum(-1).reshape(len(rows), -1)
    distances = np.abs(products[:, None] - outputs[None]).max(2)
    assert distances.min(1).max() < 1e-4  # each is the output somewhere
    assert len(set(distances.argmin(1))) > len(outputs) / 3  # and they come from everywhere


def test_data_that_are_read_twice_may_not_be_an_iterator() -> None:
    graph, samples = captured(Named(nn.Linear(8, 2)), 8)
    with pytest.raises(UsageError, match="a second time"):
        tp.quantize(graph, calibration=iter([{"x": samples}]), recover="bias")


def test_an_unknown_method_is_refused_with_those_that_are_known() -> None:
    graph, samples = captured(Named(nn.Linear(8, 2)), 8)
    with pytest.raises(UsageError, match="equalize, bias, affine, adaround, gptq"):
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
