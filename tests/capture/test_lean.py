"""Tracing with less work says the same: shapes and conditions of every short rule, lines of the model, settings."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import _lazy_graph_module
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

import triport as tp
from triport.exporter.capture.quick_shapes import LIKE_INPUT, quick_shapes
from triport.exporter.errors import ModelError

FREE, FIXED = DimDynamic.DYNAMIC, DimDynamic.STATIC

Told = tuple[list[tuple[str, str, torch.dtype]], list[str]]


def told_by_torch(op: Callable[..., Any], x: torch.Tensor, free: int, *weights: torch.Tensor) -> Told:
    """Shape, strides and dtype of each result, and the conditions on sizes that came up."""
    env = ShapeEnv()
    mode = FakeTensorMode(shape_env=env)
    sizes = [FREE if axis < free else FIXED for axis in range(x.dim())]
    fake = mode.from_tensor(x, symbolic_context=StatelessSymbolicContext(dynamic_sizes=sizes))
    with mode, torch.no_grad():
        results = op(fake, *(mode.from_tensor(weight, static_shapes=True) for weight in weights))
    listed = results if isinstance(results, tuple) else (results,)
    told = [(str(tuple(y.shape)), str(y.stride()), y.dtype) for y in listed]
    return told, sorted({str(guard.expr) for guard in env.guards})


INPUTS = {
    "images": torch.rand(4, 6, 5, 5),
    "one channel": torch.rand(4, 1, 5, 5),
    "channels last": torch.rand(4, 6, 5, 5).to(memory_format=torch.channels_last),
    "transposed": torch.rand(4, 5, 6).transpose(1, 2),
    "expanded": torch.rand(4, 6, 1).expand(4, 6, 3),
    "every second": torch.rand(4, 6, 10)[:, :, ::2],
    "a table": torch.rand(4, 6),
    "half": torch.rand(4, 6, 5).to(torch.float16),
    "integers": torch.arange(24).reshape(4, 6),
}


@pytest.mark.parametrize(("kind", "free"), [*((kind, 1) for kind in INPUTS), ("images", 4)])
def test_short_rules_say_what_torch_says(kind: str, free: int) -> None:
    x = INPUTS[kind]
    for name in LIKE_INPUT if kind == "images" else LIKE_INPUT[:2]:
        op = getattr(torch.ops.aten, name).default
        try:
            expected = told_by_torch(op, x, free)
        except (RuntimeError, ValueError):  # torch has no such op for integers
            assert not x.dtype.is_floating_point, name
            continue
        with quick_shapes():
            assert told_by_torch(op, x, free) == expected, name


@pytest.mark.parametrize(
    ("kind", "free"), [("images", 1), ("images", 2), ("channels last", 1), ("expanded", 1), ("a table", 1)]
)
def test_the_short_rule_of_batch_norm_says_what_torch_says(kind: str, free: int) -> None:
    """Free channels too: torch learns from the weights how many there are."""

    def normalised(x: torch.Tensor, *weights: torch.Tensor) -> Any:
        return torch.ops.aten._native_batch_norm_legit_no_training(x, *weights, 0.1, 1e-5)

    weights = [torch.rand(6) for _ in range(4)]
    expected = told_by_torch(normalised, INPUTS[kind], free, *weights)
    with quick_shapes():
        assert told_by_torch(normalised, INPUTS[kind], free, *weights) == expected


def test_torch_has_its_own_table_back() -> None:
    table = pytest.importorskip("torch._subclasses.fake_impls").get_fast_op_impls()
    before = dict(table)
    with pytest.raises(KeyError), quick_shapes():
        assert table.keys() - before.keys(), "no rule was added"
        raise KeyError
    assert table == before


class Stops(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if float(x.sum()) > 0 else -x


def test_settings_are_what_they_were_when_a_model_cannot_be_traced() -> None:
    before = gc.get_threshold(), torch.fx.config.do_not_emit_stack_traces
    with pytest.raises(ModelError):
        tp.capture(Stops(), torch.rand(2, 3))
    assert (gc.get_threshold(), torch.fx.config.do_not_emit_stack_traces) == before


class Twice(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.layer(x))


def test_nodes_still_know_their_line() -> None:
    graph = tp.capture(Twice(), torch.rand(2, 3))
    line = Twice.forward.__code__.co_firstlineno + 1
    assert {node.source.location for node in graph.nodes} == {f"test_lean.py:{line}"}


def test_a_torch_without_these_parts_traces_as_always(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def not_there(name: str) -> object:
        asked.append(name)
        raise ImportError(name)

    monkeypatch.setattr("triport.exporter.capture.lean.import_module", not_there)
    graph = tp.capture(torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()), torch.ones(2, 3))
    assert [node.op.name for node in graph.nodes] == ["linear", "relu"]
    assert len(asked) == 2


def test_captures_in_two_threads_take_turns_and_leave_nothing_behind() -> None:
    before, problems = gc.get_threshold(), []

    def work() -> None:
        try:
            for _ in range(2):
                tp.capture(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU()), torch.ones(2, 3, 8, 8))
        except ModelError as error:  # what a thread raises is seen nowhere else
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert gc.get_threshold() == before
    assert not _lazy_graph_module._use_lazy_graph_module_flag
