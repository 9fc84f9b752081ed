"""In-place operations: none is silently wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from capture.eager import Function, Function2, captured, exported, ops, sample
from capture.ports import assert_ports_agree
from torch import nn

from triport.exporter.capture import capture
from triport.exporter.capture.mutation import without_writes
from triport.exporter.errors import ModelError

Step = Callable[[torch.Tensor], Any]


def _is_rewritten(function: Step) -> bool:
    module = Function(function)
    program = exported(module, sample(1, 4, 6))
    return without_writes(program) is not program


def _relu_of_a_sum(x: torch.Tensor) -> Any:
    y = x + 1
    y.relu_().add_(2)
    return y.mul_(3), y


def _two_names(x: torch.Tensor) -> Any:
    y = x * 2
    z = y.relu_()
    y.add_(1)
    return z, y


def _view_made_afterwards(x: torch.Tensor) -> Any:
    y = x * 2
    y.relu_()
    return y.flatten(1), y


@pytest.mark.parametrize("function", [_relu_of_a_sum, _two_names, _view_made_afterwards])
def test_writes_to_fresh_tensors_are_plain_computation(function: Step) -> None:
    assert not _is_rewritten(function)
    captured(Function(function), sample(1, 4, 6))


def _through_a_view(x: torch.Tensor) -> Any:
    y = x * 2
    y[:, 1].relu_()
    return y


def _under_a_view(x: torch.Tensor) -> Any:
    y = x * 2
    flat = y.view(-1, 24)
    y.relu_()
    return flat, y


def _assigned_slice(x: torch.Tensor) -> Any:
    y = x.clone()
    y[:, 1:3] = y[:, :2] * 2
    return y


def _assigned_number(x: torch.Tensor) -> Any:
    y, z, w = x.clone(), x.clone(), x.clone()
    y[:, 0] = 5
    z[:, :, -1] = -1
    w[:, 1:3, 2:4] = 0.5
    return y, z, w


def _filled_slices(x: torch.Tensor) -> Any:
    y = x.clone()
    y[:, 1].fill_(2)
    y[:, 2:].zero_()
    y[:, 0, 0].fill_(x.new_full((), 7))
    return y


def _written_input(x: torch.Tensor) -> Any:
    x.relu_()
    return x + 1


def _written_view_of_the_input(x: torch.Tensor) -> Any:
    x[:, 0].mul_(2)
    return x, x.sum()


def _written_after_expand(x: torch.Tensor) -> Any:
    y = x.transpose(1, 2)
    y.add_(1)
    return x * 1, y


def _part_of_unbind(x: torch.Tensor) -> Any:
    y = x * 2
    first, second, *_ = y.unbind(1)
    first.add_(1)
    return y + second.unsqueeze(1)


def _each_part_of_unbind(x: torch.Tensor) -> Any:
    y = x * 2
    for part in y.unbind(-1):
        part.mul_(part.sum())
    return y


def _dropped_out_in_eval_mode(x: torch.Tensor) -> Any:
    y = x * 2
    F.dropout(y, 0.5, training=False).add_(1)
    return y, F.dropout(y, training=False)


@pytest.mark.parametrize(
    "function",
    [
        *(
            _part_of_unbind,
            _each_part_of_unbind,
            _dropped_out_in_eval_mode,
            _through_a_view,
            _under_a_view,
            _assigned_slice,
            _assigned_number,
            _filled_slices,
        ),
        *(_written_input, _written_view_of_the_input, _written_after_expand),
    ],
)
def test_writes_that_are_seen_elsewhere_are_rewritten(function: Step) -> None:
    assert _is_rewritten(function)
    captured(Function(function), sample(1, 4, 6))


def test_a_write_to_one_input_that_a_view_of_the_other_does_not_see() -> None:
    def function(x: torch.Tensor, y: torch.Tensor) -> Any:
        head = y[:, :2]
        x.add_(y)
        return head * x[:, :2]

    captured(Function2(function), sample(2, 4), sample(2, 4, seed=1))


def test_a_chain_of_in_place_layers() -> None:
    net = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 4, 1), nn.ReLU6(inplace=True), nn.Hardswish(inplace=True))
    graph = captured(net, sample(1, 3, 4, 4))
    assert ops(graph) == ["relu", "conv", "clamp", "hard_swish"]


def test_in_place_sum_of_a_residual_block() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.conv(x)
            y += x
            return F.relu(y, inplace=True)

    assert ops(captured(nn.Sequential(Block(), Block()), sample(1, 3, 4, 4))) == ["conv", "add", "relu"] * 2


class Counter(nn.Module):
    def __init__(self, read: bool) -> None:
        super().__init__()
        self.count: torch.Tensor
        self.register_buffer("count", torch.zeros(()))
        self.read = read

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count += 1
        return x * self.count if self.read else x * 2


def test_an_answer_that_depends_on_earlier_calls_is_refused() -> None:
    with pytest.raises(ModelError) as refused:
        capture(Counter(read=True), sample(1, 3))
    assert refused.value.code == "TP212"
    assert '"count"' in refused.value.message
    assert refused.value.help


def test_a_counter_that_nobody_reads_is_left_out_and_left_alone() -> None:
    module = Counter(read=False)
    captured(module, sample(1, 3))
    before = int(module.count)
    assert ops(capture(module, sample(1, 3))) == ["mul"]
    assert int(module.count) == before


def test_filling_a_tensor_whose_size_is_free_is_expanding_a_number() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        y = x.clone()
        y[:] = 3
        return y * x

    assert ops(captured(Function(function), sample(1, 3))) == ["expand", "mul"]


def _two_halves(x: torch.Tensor) -> torch.Tensor:
    y = x.new_empty(x.shape[0], x.shape[1], 9)
    y[:, :, :6] = x
    y[:, :, 6:] = x[:, :, :3] * 2
    return y


def _framed(x: torch.Tensor) -> torch.Tensor:
    y = torch.full((x.shape[0], x.shape[1] + 2, 6), 0.5)
    y[:, 1:-1] = x
    return y


def _ends(x: torch.Tensor) -> torch.Tensor:
    y = torch.zeros(x.shape[0], x.shape[1] + 3, 6)
    y[:, :-3] = x
    y[:, -3:] = 7.0
    y[:, -1] = x[:, 0]
    return y


def _twice(x: torch.Tensor) -> torch.Tensor:
    y = torch.zeros(x.shape[0], x.shape[1] * 2, 6)
    y[:, : x.shape[1]] = x
    y[:, x.shape[1] :] = x + 1
    return y


def _rows(x: torch.Tensor) -> torch.Tensor:
    y = torch.full((x.shape[0], 5, 6), -1, dtype=torch.int32)
    y[:, 1:3] = 4
    y[:, 3] = x[:, 0].int()
    return y


WRITTEN: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], list[str]]] = {
    "two halves": (_two_halves, ["pad", "slice", "mul", "slice", "concat"]),
    "framed": (_framed, ["pad"]),
    "ends": (_ends, ["pad", "slice", "pad", "slice", "reshape", "reshape", "slice", "concat"]),
    "twice": (_twice, ["expand", "slice", "concat", "add", "slice", "concat"]),
    "rows": (_rows, []),
}


@pytest.mark.parametrize("which", WRITTEN)
def test_tensors_of_free_sizes_are_filled_part_by_part(which: str, tmp_path: Path) -> None:
    function, expected = WRITTEN[which]
    free = {"x": {0: "batch", 1: "length"}}
    graph = assert_ports_agree(tmp_path, Function(function), [sample(2, 3, 6)], free, others=[[sample(1, 1, 6)]])
    if expected:
        assert ops(graph) == expected


def test_a_write_that_may_leave_nothing_is_refused() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        y[:, -2:] = 0.5
        return y

    with pytest.raises(ModelError, match="length-2 are left as they are, which may be none") as refused:
        capture(Function(function), sample(1, 4, 3), dynamic={"x": {1: "length"}})
    assert refused.value.code == "TP203"


class WritesEveryOther(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x.clone()
        y[:, ::2] = x[:, 1::2]
        return y


def test_writing_every_other_cell_is_refused_at_its_line() -> None:
    with pytest.raises(ModelError) as refused:
        capture(WritesEveryOther(), sample(1, 6))
    assert refused.value.code == "TP202"
    assert str(refused.value.at).startswith("test_writes.py:")


def test_writing_one_sample_of_a_free_batch_is_refused() -> None:
    """With a batch of one nothing would be left behind it, and ports know no empty tensors."""

    def function(x: torch.Tensor) -> torch.Tensor:
        y = x.clone()
        y[0] = x[0] * 2
        return y

    with pytest.raises(ModelError) as refused:
        capture(Function(function), sample(1, 6))
    assert refused.value.code == "TP203"
    captured(Function(function), sample(3, 6), dynamic={})


class MovesItsTable(nn.Module):
    """Assigns a buffer to itself, as models do that keep it on the device of their inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.table: torch.Tensor = nn.Buffer(torch.arange(3.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.table = self.table.to(device=x.device, dtype=x.dtype)
        return x * self.table


def test_a_buffer_that_is_assigned_to_itself_is_no_state() -> None:
    assert ops(captured(MovesItsTable(), sample(1, 3))) == ["mul"]


class ReversesItsTable(MovesItsTable):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.table.copy_(self.table.flip(0))
        return x * self.table


def test_a_buffer_that_gets_its_own_cells_in_another_order_is_state() -> None:
    with pytest.raises(ModelError) as refused:
        capture(ReversesItsTable(), sample(1, 3))
    assert refused.value.code == "TP212"
