"""Recurrent layers of torch on every port: batch and time free, states in and out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from capture.eager import Function
from torch import nn

from triport.exporter.capture import capture
from triport.exporter.capture.convert import convert_program
from triport.exporter.capture.inputs import normalize_inputs
from triport.exporter.errors import ModelError
from triport.exporter.graph import Array, Graph
from triport.exporter.ops import Gru, Lstm, Rnn
from triport.exporter.reference import run_graph
from triport.runtime_checks.parity import check_port
from triport.runtime_checks.runners import get_runner
from triport.runtime_checks.samples import Case
from triport.runtime_checks.truth import truth_by_reference
from triport.targets.prepare import prepare
from triport.targets.registry import get_target

RUNNERS = {"onnxruntime": "onnx", "litert": "tflite", "litert-plain": "tflite", "node": "web"}
SIZES = ((1, 1), (2, 5), (7, 33))
"""(batch, time)"""

Sizes = tuple[int, int]


def make(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -0.6, 0.6)
    return module.eval()


def check(
    graph: Graph, module: nn.Module, arrays: Callable[[Sizes], Mapping[str, Array]], tmp: Path, *sizes: Sizes
) -> None:
    """Every runner answers as the reference, and the reference as the module, at every size."""
    inputs = [dict(arrays(size)) for size in sizes]
    truth = truth_by_reference(graph, [Case(str(n), given, {}, False) for n, given in zip(sizes, inputs, strict=True)])
    for given in inputs:
        with torch.no_grad():
            told = _leaves(module(*(torch.from_numpy(array) for array in given.values())))
        for expected, got in zip(told, run_graph(graph, given).values(), strict=True):
            assert_close(got, expected)
    for runner, port in RUNNERS.items():
        target = get_target(port)
        artefact = tmp / runner / target.artefact
        artefact.parent.mkdir()
        target.write(prepare(graph, target), artefact, {})
        with get_runner(runner).load(artefact) as session:
            failed = [f"{runner} {c.case}: {c.problem}" for c in check_port(session, truth) if not c.passed]
        assert not failed


def assert_close(got: Array, expected: Array) -> None:
    np.testing.assert_allclose(got.astype(np.float64), expected.astype(np.float64), rtol=0, atol=2e-6)


def _leaves(value: object) -> list[Array]:
    if isinstance(value, torch.Tensor):
        return [value.numpy()]
    assert isinstance(value, tuple)
    return [leaf for item in value for leaf in _leaves(item)]


def random(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


LAYERS = {
    "lstm": nn.LSTM(4, 5),
    "lstm_two_layers_both_ways": nn.LSTM(4, 5, 2, bidirectional=True, dropout=0.5),
    "lstm_without_bias": nn.LSTM(4, 5, bias=False),
    "gru": nn.GRU(4, 5),
    "gru_two_layers_both_ways": nn.GRU(4, 5, 2, bidirectional=True),
    "rnn_tanh_both_ways": nn.RNN(4, 5, bidirectional=True),
    "rnn_relu": nn.RNN(4, 5, nonlinearity="relu", bias=False),
}


@pytest.mark.parametrize("name", LAYERS)
def test_batch_and_time_stay_free(name: str, tmp_path: Path) -> None:
    module = make(LAYERS[name])
    graph = capture(module, [random(0, 6, 2, 4)], {"input": {0: "time", 1: "batch"}})
    check(graph, module, lambda size: {"input": random(1, size[1], size[0], 4)}, tmp_path, *SIZES)


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_a_fixed_short_sequence_leaves_the_batch_free(name: str, tmp_path: Path) -> None:
    module = make({"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[name](4, 5, batch_first=True, bidirectional=True))
    graph = capture(module, [random(0, 1, 6, 4)])
    check(graph, module, lambda size: {"input": random(1, size[0], 6, 4)}, tmp_path, (1, 6), (2, 6), (7, 6))


class Stateful(nn.Module):
    """A net that is fed piece by piece."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: torch.Tensor, h: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y, (h_out, c_out) = self.cell(x, (h, c))
        return y, h_out, c_out


def test_states_go_in_and_come_out(tmp_path: Path) -> None:
    module = make(Stateful(nn.LSTM(4, 5, num_layers=2, batch_first=True)))
    free = {"x": {0: "batch", 1: "time"}, "h": {1: "batch"}, "c": {1: "batch"}}
    graph = capture(module, [random(0, 2, 6, 4), random(1, 2, 2, 5), random(2, 2, 2, 5)], free)

    def arrays(size: Sizes) -> dict[str, Array]:
        batch, time = size
        return {"x": random(1, batch, time, 4), "h": random(2, 2, batch, 5), "c": random(3, 2, batch, 5)}

    check(graph, module, arrays, tmp_path, *SIZES)


def test_an_unbatched_sequence(tmp_path: Path) -> None:
    module = make(nn.GRU(4, 5))
    graph = capture(module, [random(0, 6, 4)], {"input": {0: "time"}})
    check(graph, module, lambda size: {"input": random(1, size[1], 4)}, tmp_path, *SIZES)


CELLS = {
    "lstm": (nn.LSTMCell(4, 5), Lstm),
    "gru": (nn.GRUCell(4, 5, bias=False), Gru),
    "rnn": (nn.RNNCell(4, 5), Rnn),
    "rnn_relu": (nn.RNNCell(4, 5, nonlinearity="relu"), Rnn),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_is_one_step(name: str, tmp_path: Path) -> None:
    module, op = make(CELLS[name][0]), CELLS[name][1]
    graph = capture(module, [random(0, 2, 4)])
    assert sum(isinstance(node.op, op) for node in graph.nodes) == 1
    check(graph, module, lambda size: {"input": random(1, size[0], 4)}, tmp_path, (1, 1), (2, 1), (7, 1))


class Loop(nn.Module):
    """A cell in a loop of the user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(4, 5)

    def forward(self, x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        for step in range(3):
            h = self.cell(x[:, step], h)
        return h


def test_cells_in_a_loop_hand_their_state_on(tmp_path: Path) -> None:
    module = make(Loop())
    graph = capture(module, [random(0, 2, 3, 4), random(1, 2, 5)])
    check(
        graph,
        module,
        lambda size: {"x": random(1, size[0], 3, 4), "h": random(2, size[0], 5)},
        tmp_path,
        (1, 3),
        (7, 3),
    )


def test_only_the_last_state_is_asked_for(tmp_path: Path) -> None:
    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(4, 5, batch_first=True, bidirectional=True), nn.Linear(10, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            _, (h, _) = self.lstm(x)
            y: torch.Tensor = self.head(torch.cat([h[0], h[1]], dim=1))
            return y

    module = make(Classifier())
    graph = capture(module, [random(0, 2, 6, 4)], {"x": {0: "batch", 1: "time"}})
    check(graph, module, lambda size: {"x": random(1, *size, 4)}, tmp_path, *SIZES)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_a_projection_is_refused() -> None:
    with pytest.raises(ModelError, match="proj_size"):
        capture(nn.LSTM(4, 5, proj_size=2), [random(0, 6, 2, 4)])


def test_packed_sequences_are_refused() -> None:
    class Packs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(4, 5, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([6, 4]), batch_first=True)
            _, (h, _) = self.lstm(packed)
            last: torch.Tensor = h[0]
            return last

    with pytest.raises(ModelError, match="packed sequences"):
        capture(Packs(), [random(0, 2, 6, 4)])


def test_torch_is_left_as_it_was() -> None:
    before = torch.lstm, torch._VF.lstm, torch._VF._pack_padded_sequence
    capture(nn.LSTM(4, 5), [random(0, 6, 2, 4)])
    assert before == (torch.lstm, torch._VF.lstm, torch._VF._pack_padded_sequence)


@pytest.mark.filterwarnings("ignore:The tensor attribute")
@pytest.mark.parametrize("name", ["lstm", "gru_two_layers_both_ways", "rnn_tanh_both_ways", "rnn_relu"])
def test_a_program_that_torch_exported_by_itself_has_its_length_fixed(name: str) -> None:
    module = make(LAYERS[name])
    x = random(0, 6, 2, 4)
    program = torch.export.export(module, (torch.from_numpy(x),), strict=False)
    graph = convert_program(
        program, module, normalize_inputs(module, [x], {}), ["y", "h", "c"][: 3 if name == "lstm" else 2]
    )
    with torch.no_grad():
        told = _leaves(module(torch.from_numpy(x)))
    for expected, got in zip(told, run_graph(graph, {"input": x}).values(), strict=True):
        assert_close(got, expected)


def test_a_state_that_is_no_constant_zero_is_kept() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(4, 5)
            self.register_buffer("start", torch.full((1, 2, 5), 0.5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.gru(x, self.start)[0]
            return y

    graph = capture(Half(), [random(0, 6, 2, 4)], {"x": {0: "time"}})
    (node,) = (node for node in graph.nodes if isinstance(node.op, Gru))
    assert len(node.inputs) == 5


def test_states_of_zeros_are_left_out() -> None:
    class Zeros(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(4, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            zeros = torch.zeros(1, x.shape[1], 5)
            y: torch.Tensor = self.lstm(x, (zeros, zeros))[0]
            return y

    graph = capture(Zeros(), [random(0, 6, 2, 4)], {"x": {0: "time", 1: "batch"}})
    assert [len(node.inputs) for node in graph.nodes if isinstance(node.op, Lstm)] == [4]


def test_tracing_a_condition_does_not_leave_torch_with_our_recurrent_calls() -> None:
    """torch.cond is traced by Dynamo, which lists torch's functions when first asked, also during an export."""
    from torch._dynamo import trace_rules

    trace_rules.clear_lru_cache()
    module = Function(lambda x: torch.cond(x.sum() > 0, torch.sin, torch.cos, (x,)))
    with pytest.raises(ModelError, match="cond"):
        capture(module, torch.ones(2, 3), {})
    assert torch.lstm in trace_rules.get_torch_obj_rule_map()
