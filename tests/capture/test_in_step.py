"""A module and its graph run in step: both answer what they answer alone, and like convolutions are made once."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import triport as tp
from triport.exporter.capture.in_step import run_in_step
from triport.exporter.errors import ModelError, UsageError
from triport.exporter.graph import Array, Graph
from triport.exporter.reference import run_graph

IMAGE = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))

LARGE = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
"""So large that both samples are made up."""


class Convolutions(TorchDispatchMode):
    """Counts the convolutions that torch makes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.count += func is torch.ops.aten.convolution.default
        return func(*args, **(kwargs or {}))


class Net(nn.Module):
    """Four convolutions, the last by a call of its own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 16, 5, padding=2, bias=False)
        self.norm = nn.BatchNorm2d(16)
        nn.init.uniform_(self.norm.weight, 0.5, 2.0)
        self.body = nn.Conv2d(16, 16, (3, 3), padding=1)
        self.narrow = nn.Conv2d(16, 64, 3, stride=2, padding=1)
        self.weight = nn.Parameter(torch.randn(128, 64, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        y = F.relu(y) + self.norm(y)
        return F.conv2d(self.narrow(self.body(y)), self.weight).amax((2, 3))[:, :16]


def answer_of(module: nn.Module) -> Callable[[Mapping[str, Array]], dict[str, Array]]:
    def answer(inputs: Mapping[str, Array]) -> dict[str, Array]:
        with torch.no_grad():
            return {"output": module(torch.from_numpy(inputs["x"])).numpy()}

    return answer


def captured(module: nn.Module) -> tuple[Graph, dict[str, Array]]:
    return tp.capture(module.eval(), IMAGE), {"x": np.random.default_rng(1).random((2, 3, 32, 32), np.float32)}


def equal(a: Mapping[str, Array], b: Mapping[str, Array]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_like_convolutions_are_made_once() -> None:
    module = Net()
    graph, inputs = captured(module)
    with Convolutions() as made:
        told, found = run_in_step(graph, inputs, answer_of(module))
    assert made.count == 4
    assert equal(told, answer_of(module)(inputs))
    assert equal(found, run_graph(graph, inputs))
    assert torch.is_grad_enabled()


def _next_float(module: Net) -> None:
    with torch.no_grad():
        module.narrow.weight.copy_(torch.nextafter(module.narrow.weight, torch.tensor(9.0)))


def _stride(module: Net) -> None:
    module.narrow.stride = (1, 1)


def _bias(module: Net) -> None:
    module.body.bias = None


def _norm(module: Net) -> None:
    module.norm.eps = 1e-6


@pytest.mark.parametrize("change", [_next_float, _stride, _bias, _norm])
def test_a_graph_that_says_something_else_answers_something_else(change: Callable[[Net], None]) -> None:
    """Convolutions of other numbers, or with other settings, are made for the graph."""
    graph, inputs = captured(Net())
    other = Net().eval()
    change(other)
    told, found = run_in_step(graph, inputs, answer_of(other))
    assert equal(told, answer_of(other)(inputs))
    assert equal(found, run_graph(graph, inputs))
    assert not equal(told, found)


class Keeps(Net):
    """Writes over what a convolution gave, and needs it later."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        kept = y.clone()
        return self.narrow(self.body(y.mul_(0.5)) + kept).amax((2, 3))


def test_a_module_that_writes_to_its_results_does_not_write_to_the_graphs() -> None:
    module = Keeps()
    graph, inputs = captured(module)
    told, found = run_in_step(graph, inputs, answer_of(module))
    assert equal(found, run_graph(graph, inputs))
    assert equal(found, told)


@pytest.mark.parametrize(
    "setting",
    [torch.enable_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)],
    ids=["gradients", "inference", "autocast"],
)
def test_what_a_module_sets_for_itself_is_not_set_for_the_graph(setting: Callable[[], Any]) -> None:
    module = Net()
    graph, inputs = captured(module)

    def answer(inputs: Mapping[str, Array]) -> dict[str, Array]:
        with torch.no_grad():
            module.stem(torch.from_numpy(inputs["x"]))  # which the graph follows
        with setting():
            return {"output": module(torch.from_numpy(inputs["x"])).detach().float().numpy()}

    _, found = run_in_step(graph, inputs, answer)
    assert equal(found, run_graph(graph, inputs))
    assert torch.is_grad_enabled()


def test_whoever_fails_is_heard_and_leaves_gradients_on() -> None:
    module = Net()
    graph, inputs = captured(module)

    def broken(inputs: Mapping[str, Array]) -> dict[str, Array]:
        answer_of(module.stem)(inputs)
        raise KeyError("mine")

    with contextlib.suppress(KeyError):  # which would hold what is half computed
        run_in_step(graph, inputs, broken)
        pytest.fail("the error of the module's is lost")
    gc.collect()
    assert torch.is_grad_enabled()
    narrow = {"x": np.zeros((2, 3, 32, 31), np.float32)}
    with pytest.raises(UsageError):
        run_in_step(graph, narrow, lambda _: answer_of(module)(inputs))
    assert torch.is_grad_enabled()


class Counts(Net):
    """Answers otherwise at each call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x) * self.calls


class CountsInABuffer(Net):
    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        return super().forward(x) * self.calls


class CountsElsewhere(Net):
    def forward(self, x: Tensor) -> Tensor:
        CALLS.append(1)
        return super().forward(x) * len(CALLS)


CALLS: list[int] = []


class Doubles(Convolutions):  # type: ignore[no-untyped-call]
    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = super().__torch_dispatch__(func, types, args, kwargs)
        return result * 2 if func is torch.ops.aten.convolution.default else result


class DoublesInside(Net):
    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        with Doubles():
            return self.narrow(self.body(y)).amax((2, 3))


def test_convolutions_that_a_mode_of_the_modules_changes_are_not_the_graphs() -> None:
    module = DoublesInside()
    graph, inputs = captured(Net())
    told, found = run_in_step(graph, inputs, answer_of(module.eval()))
    assert equal(told, answer_of(module)(inputs))
    assert equal(found, run_graph(graph, inputs))
    with pytest.raises(ModelError):
        tp.capture(module, LARGE)


class Twice(Tensor):
    """Convolutions with it give twice of what they would."""

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]
        return result * 2 if func is F.conv2d else result


def test_convolutions_of_tensors_that_answer_for_themselves_are_not_the_graphs() -> None:
    module = Net().eval()
    graph, inputs = captured(module)
    module.body.weight = nn.Parameter(module.body.weight.detach().as_subclass(Twice))
    told, found = run_in_step(graph, inputs, answer_of(module))
    assert not equal(told, found)
    assert equal(found, run_graph(graph, inputs))


class InVmap(Net):
    def forward(self, x: Tensor) -> Tensor:
        return torch.vmap(super().forward)(x.unsqueeze(1)).flatten(1)


class NumpyStride(Net):
    def forward(self, x: Tensor) -> Tensor:
        y = F.conv2d(self.body(self.stem(x)), self.narrow.weight, stride=np.int64(2))  # type: ignore[call-overload]
        return y.amax((2, 3))


def lazy() -> nn.Module:
    return nn.Sequential(nn.LazyConv2d(16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3))


@pytest.mark.parametrize("made", [InVmap, NumpyStride, lazy])
def test_convolutions_that_cannot_be_compared_are_captured(made: Callable[[], nn.Module]) -> None:
    graph = tp.capture(made().eval(), LARGE, dynamic={})
    assert graph.samples
    for sample in graph.samples:
        found = run_graph(graph, sample.inputs)
        assert np.allclose(found["output"], sample.outputs["output"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("module", [Counts, CountsInABuffer, CountsElsewhere])
def test_a_module_that_counts_its_calls_is_found_out(module: type[Net]) -> None:
    with pytest.raises(ModelError) as caught:
        tp.capture(module().eval(), LARGE)
    assert caught.value.code == "TP212"


def test_both_samples_are_what_the_module_answers() -> None:
    module = Net().eval()
    graph = tp.capture(module, LARGE)
    assert len(graph.samples) == 2
    assert all(equal(sample.outputs, answer_of(module)(sample.inputs)) for sample in graph.samples)
