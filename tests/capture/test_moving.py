"""What moves cells, reads and writes them by number or makes them from sizes, against torch in eager mode."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from capture.eager import Function, Function2, captured, exported, sample
from torch import nn

import triport as tp
from triport.exporter.capture import capture
from triport.exporter.capture.convert import _converter
from triport.exporter.capture.registry import _CONVERTERS
from triport.exporter.errors import ModelError

_untyped: Any = torch
"""Some functions of torch have no types."""

IMAGE = (1, 4, 6, 8)
ROWS = torch.arange(55.0).reshape(11, 5).sin()


def _put(x: torch.Tensor, value: float) -> torch.Tensor:
    y = x.clone()
    y[:, torch.tensor([2, 0])] = value
    return y


FREE: dict[str, Callable[[torch.Tensor], Any]] = {
    "expand": lambda x: (x[:, :1].expand(-1, 3, -1, -1), x[:, :1].expand_as(x), _untyped.broadcast_tensors(x[:1], x)),
    "meshgrid": lambda x: (
        torch.meshgrid(x[0, 0, 0], x[0, 0, :, 0], indexing="ij"),
        torch.meshgrid(x[0, 0, 0], x[0, 0, :, 0], indexing="xy"),
    ),
    "repeat": lambda x: (x.repeat(2, 1, 3, 1, 2), torch.tile(x, (2, 1))),
    "repeat_interleave": lambda x: (x.repeat_interleave(3, 1), x.repeat_interleave(2), x.repeat_interleave(2, -1)),
    "flip": lambda x: (x.flip(1, -1), torch.fliplr(x), torch.flipud(x)),
    "roll": lambda x: (x.roll((1, -3), (0, 2)), x.roll(5), x.roll(9, -1)),
    "movedim": lambda x: (x.movedim((0, 1), (-1, 0)), torch.moveaxis(x, 1, -1), torch.swapdims(x, 1, -1)),
    "rot90": lambda x: [torch.rot90(x, times, (2, 3)) for times in range(4)],
    "pixel_shuffle": lambda x: (F.pixel_shuffle(x, 2), F.pixel_unshuffle(x, 2), F.channel_shuffle(x, 2)),
    "arange": lambda x: (x + torch.arange(x.shape[-1]) + torch.arange(1, 16, 2.0), x + torch.arange(2, 10)),
    "arange of a free size": lambda x: (torch.arange(x.shape[0]), torch.arange(1, 2 * x.shape[0] + 1, 2)),
    "identity of a free size": lambda x: (torch.eye(x.shape[0]), torch.eye(3, x.shape[0], dtype=torch.int64)),
    "fixed ranges": lambda x: x + torch.linspace(0, 1, 8) + torch.eye(6, 8),
    "diagonal": lambda x: (x.diagonal(1, 1, 3), x.diagonal(-2, 2, 3), torch.diag(x[0, 0], -1), x.diagonal(9, 2, 3)),
    "diag_embed": lambda x: (torch.diag_embed(x), torch.diag_embed(x, 2, 0, -2), torch.diag_embed(x, -1)),
    "diag": lambda x: torch.diag(x[0, 0, 0], 1),
    "stacks": lambda x: (torch.hstack([x, x]), torch.vstack([x[0, 0, 0], x[0, 0, 1]]), _untyped.atleast_3d(x[0, 0, 0])),
    "triangles": lambda x: (x.tril(1), x.triu(-1), torch.full((6, 8), -9.0).triu(1) + x),
    "triangle of free rows": lambda x: torch.triu(x.flatten(1) @ x.flatten(1).T, 1),
    "constant indices": lambda x: (x[:, torch.tensor([-1, 0]), torch.tensor([[1], [2]])], x[:, [3, 0]]),
    "unfold": lambda x: (x.unfold(2, 3, 2), x.unfold(3, 4, 4), x.unfold(1, 2, 1)),
    "im2col": lambda x: (F.unfold(x, (2, 3), (1, 2), (1, 0), (2, 1)), F.unfold(x[0], 2)),
    "col2im": lambda x: F.fold(F.unfold(x, (3, 2), 1, 1, (2, 3)), (6, 8), (3, 2), 1, 1, (2, 3)),
    "padding modes": lambda x: [F.pad(x, (1, 2, 3, 0), mode=mode) for mode in ("reflect", "replicate", "circular")],
    "padding that crops": lambda x: (
        F.pad(x, (-1, 2, -2, 0)),
        F.pad(x, (-1, 2, -2, 0), mode="circular"),
        F.pad(x, (-8, 5, 0, 0), mode="replicate"),
    ),
    "padding of volumes": lambda x: F.pad(x[:, None], (1, 1, 0, 2, 1, 0), mode="replicate"),
    "padding by its own operations": lambda x: [
        pad(x.flatten(2) if axes == 1 else x[:, None] if axes == 3 else x, [1, 2, 3, 0, 0, 0][: 2 * axes])
        for axes in (1, 2, 3)
        for pad in (getattr(torch.ops.aten, f"{mode}_pad{axes}d") for mode in ("reflection", "replication"))
    ],
    "slices from the end": lambda x: (x[-1:], x[:, :, -100:3, -3:-1], x[-1], x[:, -1]),
    "slices of free rows": lambda x: (x[x.shape[0] // 2 :], x[: x.shape[0] // 2 + 1]),
    "slices from the end of free rows": lambda x: (
        x[-x.shape[0] :],
        torch.cat([x, x])[-x.shape[0] :],
        x[-64:],
        x[:64],
        torch.cat([x, x])[: -x.shape[0]],
        x[max(0, 1 - x.shape[0]) :],
    ),
    "splits": lambda x: (x.chunk(3, -1), torch.tensor_split(x, 3, -1), torch.tensor_split(x, (1, -2), -1)),
    "parts of free rows": lambda x: (
        torch.cat([x, x, x]).chunk(3),
        _untyped.split(torch.cat([x, x, x]), x.shape[0]),
        _untyped.split(torch.cat([x, x]), [x.shape[0] * 2 - 1, 1]),
    ),
    "sizes as numbers": lambda x: (x * x.shape[0] + x.shape[0], x.new_full((x.shape[0], 2), 1.5)),
    "filled free rows": lambda x: torch.cat([torch.zeros(x.shape[0], 1, 6, 8), x, torch.ones_like(x)], 1),
    "assigned": lambda x: _put(x, 2.5),
}

Indexed = Callable[[torch.Tensor, torch.Tensor], Any]

NUMBERED: dict[str, tuple[Indexed, torch.Tensor]] = {
    "index": (lambda x, i: x[:, i], torch.tensor([1, -1, 0])),
    "index apart": (lambda x, i: (x[:, i, :, i], x[:, i, i]), torch.tensor([[3, 0, 1], [1, 1, -4]])),
    "gather": (lambda x, i: x.gather(1, i), torch.tensor([3, 0]).reshape(1, 2, 1, 1).expand(1, 2, 6, 5)),
    "take_along_dim": (lambda x, i: torch.take_along_dim(x, i, 3), torch.tensor([7, 0, 2]).reshape(1, 1, 1, 3)),
    "index_select": (lambda x, i: x.index_select(2, i), torch.tensor([5, 0, 5])),
    "embedding": (lambda x, i: (F.embedding(i, ROWS), F.one_hot(i, 12)), torch.tensor([[10, 0], [3, 3]])),
    "scatter": (lambda x, i: (x.scatter(3, i, x + 1), x.scatter(3, i, 2.5)), torch.tensor([5, 0]).reshape(1, 1, 1, 2)),
    "scatter_add": (
        lambda x, i: (x.scatter_add(1, i, x), x.scatter_reduce(1, i, x, "sum"), x.scatter(1, i, x, reduce="add")),
        torch.tensor([3, 0, 3]).reshape(1, 3, 1, 1).expand(1, 3, 6, 5),
    ),
    "index_add": (lambda x, i: x.index_add(1, i, x[:, :3], alpha=2), torch.tensor([3, 0, 3])),
    "index_copy": (lambda x, i: (x.index_copy(1, i, x[:, :2] + 1), x.index_fill(2, i, -1.0)), torch.tensor([2, 0])),
    "index_put": (
        lambda x, i: (x.index_put((x.new_zeros(2, dtype=torch.int64), i), torch.tensor(1.0)), _added(x, i)),
        torch.tensor([2, -1]),
    ),
    "bags": (
        lambda x, i: (
            F.embedding_bag(i, ROWS, mode="mean"),
            F.embedding_bag(i, ROWS, mode="max"),
            F.embedding_bag(i[0], ROWS, torch.tensor([0, 1, 1]), mode="sum"),
            F.embedding_bag(i[0], ROWS, torch.tensor([0, 2, 2]), mode="mean"),
        ),
        torch.tensor([[10, 0, 3], [3, 3, 1]]),
    ),
}


BAGS: dict[str, Indexed] = {
    "sum": lambda x, i: F.embedding_bag(i, ROWS, mode="sum"),
    "mean": lambda x, i: F.embedding_bag(i, ROWS),
    "largest": lambda x, i: F.embedding_bag(i, ROWS, mode="max"),
    "weighed": lambda x, i: F.embedding_bag(i, ROWS, mode="sum", per_sample_weights=x),
    "sum without padding": lambda x, i: F.embedding_bag(i, ROWS, mode="sum", padding_idx=3),
    "mean without padding": lambda x, i: F.embedding_bag(i, ROWS, mode="mean", padding_idx=3),
    "largest without padding": lambda x, i: F.embedding_bag(i, ROWS, mode="max", padding_idx=3),
}


@pytest.mark.parametrize("free", [{0: "bags"}, {0: "bags", 1: "length"}])
@pytest.mark.parametrize("name", BAGS)
def test_bags_of_free_number_and_length(name: str, free: dict[int, str]) -> None:
    """One bag of the second example holds nothing but padding."""
    given, other = torch.tensor([[10, 0, 3], [3, 3, 1]]), torch.tensor([[3, 3, 3], [1, 5, 3], [9, 9, 2]])
    others = [other] if len(free) == 1 else [other, other[:, :1], other.repeat(1, 2)]
    dynamic = {"x": free, "y": free}
    captured(
        Function2(BAGS[name]), sample(2, 3), given, dynamic=dynamic, others=[[sample(*i.shape), i] for i in others]
    )


def test_bags_of_free_bounds_are_refused() -> None:
    module = Function2(lambda x, i: F.embedding_bag(i[0], ROWS, i[1], mode="sum"))
    with pytest.raises(ModelError, match="bags of unequal size") as refused:
        captured(module, sample(2), torch.tensor([[3, 3], [0, 1]]), dynamic={})
    assert refused.value.code == "TP202"


def _added(x: torch.Tensor, i: torch.Tensor) -> torch.Tensor:
    adjacent = torch.ops.aten.index_put(x, [None, i, i], x[:, :2, 0] + 1, True)
    apart = torch.ops.aten.index_put(x, [None, i, None, i], torch.ones(2, 1, 6), True)
    return torch.cat([adjacent, apart])


@pytest.mark.parametrize("name", FREE)
def test_cells_of_a_free_batch_move_as_in_torch(name: str) -> None:
    captured(Function(FREE[name]), sample(*IMAGE))


@pytest.mark.filterwarnings("ignore:The reduce argument of torch.scatter")
@pytest.mark.parametrize("name", NUMBERED)
def test_cells_are_numbered_as_in_torch(name: str) -> None:
    function, indices = NUMBERED[name]
    captured(Function2(function), sample(*IMAGE), indices, dynamic={})


def _used(module: nn.Module, *examples: torch.Tensor) -> set[object]:
    program = exported(module, *examples, dynamic={})
    return {_converter(node) for node in program.graph.nodes if node.op == "call_function"}


@pytest.mark.filterwarnings("ignore:The reduce argument of torch.scatter")
def test_every_converter_of_these_files_is_used_by_a_case() -> None:
    used = _used(Function(lambda x: [function(x) for function in FREE.values()]).eval(), sample(*IMAGE))
    for function, indices in NUMBERED.values():
        used |= _used(Function2(function).eval(), sample(*IMAGE), indices)
    files = {f"triport.exporter.capture.{name}" for name in ("arrange", "bags", "index", "windows")}
    assert not {n for n, made in _CONVERTERS.items() if made.__module__ in files and made not in used}


class KeepsTheBest(nn.Module):
    """The boxes with the highest scores, those below a threshold counted as 0: most of them are equal."""

    def forward(self, boxes: torch.Tensor, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        top, places = scores.masked_fill(scores < 0.5, 0.0).topk(4, dim=1)
        return torch.gather(boxes, 1, places[..., None].expand(-1, -1, 4)), top


class Orders(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = x.round()
        return torch.sort(y, dim=1)[1], y.argsort(1, descending=True), y.max(1)[1], y.kthvalue(3, dim=1)[1]


@pytest.mark.parametrize("batch", [1, 2])
def test_among_equals_the_first_comes_first_in_the_golden_answers_too(batch: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    boxes, scores = torch.rand(batch, 100, 4), torch.rand(batch, 100) * 0.502
    assert int((scores >= 0.5).sum()) < 4 * batch
    graph = capture(KeepsTheBest(), [boxes, scores], {"boxes": {0: "batch"}, "scores": {0: "batch"}})
    assert any(notice.startswith("equal numbers are put in order") for notice in graph.notices)
    assert tp.export(graph, tmp_path).status.value == "verified"


def test_sorted_places_of_equals_go_up() -> None:
    torch.manual_seed(0)
    graph = capture(Orders(), torch.rand(2, 100) * 4)
    golden = graph.samples[0]
    up, down, most, third = golden.outputs.values()
    rounded = np.rint(golden.inputs["x"])
    np.testing.assert_array_equal(up, rounded.argsort(axis=1, kind="stable"))
    np.testing.assert_array_equal(down, (-rounded).argsort(axis=1, kind="stable"))
    np.testing.assert_array_equal(most, rounded.argmax(axis=1))
    np.testing.assert_array_equal(third, up[:, 2])
