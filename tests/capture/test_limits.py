"""Free sizes that the model itself limits: tables that end, branches that were not traced."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from capture.eager import Function, captured, sample
from torch import nn

import triport as tp
from triport.exporter.capture import program
from triport.exporter.errors import FormatError, UsageError
from triport.exporter.graph import DType, Sym, TensorType
from triport.exporter.graph.conditions import check_conditions
from triport.exporter.graph.limits import Limit, check_limits, limits_of
from triport.exporter.reference import run_graph

FREE = {"x": {0: "batch", 1: "length"}}


class Positions(nn.Module):
    """Adds one of 16 rows to each step."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Buffer(torch.arange(16.0)[:, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.table[: x.shape[1]]


def limits(module: nn.Module, length: int = 7) -> dict[str, Limit]:
    return limits_of(captured(module, sample(2, length, 3), dynamic=FREE))


def test_a_table_of_positions_ends() -> None:
    assert limits(Positions()) == {"length": Limit(1, 16)}


def test_branches_of_the_model_end_on_both_sides() -> None:
    module = Function(lambda x: x + 1 if 5 <= x.shape[1] < 40 else x)
    assert limits(module) == {"length": Limit(5, 39)}
    assert limits(module, 4) == {"length": Limit(1, 4)}
    assert limits(module, 50) == {"length": Limit(40)}


def test_what_torch_asks_for_itself_limits_nothing() -> None:
    assert limits(Function(lambda x: torch.nn.functional.max_pool1d(x.flatten(1)[:, None], 2).contiguous())) == {}


def test_a_small_example_takes_the_way_of_its_own_size() -> None:
    assert limits(Function(lambda x: x + 1 if x.shape[1] > 3 else x), 3) == {"length": Limit(1, 3)}


def test_axes_that_are_one_at_the_example_limit_nothing() -> None:
    """Half of a batch of two is one row, which torch notes."""
    module = Function(lambda x: x[x.shape[0] // 2 :] * 2)
    assert limits_of(captured(module, sample(2, 3))) == {}


def test_the_last_cells_of_a_short_axis_are_all_of_it() -> None:
    assert limits(Function(lambda x: x[:, -16:])) == {"length": Limit(1, 15)}


def test_a_table_that_is_cut_from_its_end() -> None:
    """max(0, 16 - length) is 16 - length within the limit, which shape arithmetic can say."""
    module = Function(lambda x: x + torch.arange(16.0)[max(0, 16 - x.shape[1]) :, None])
    assert limits(module) == {"length": Limit(1, 16)}


def _asked(function: Callable[[torch.Tensor], torch.Tensor]) -> str:
    """The line of a function that the notices have to name."""
    code = inspect.getsource(function).splitlines()
    line = next(i for i, text in enumerate(code) if "  # asks" in text)
    return f"test_limits.py:{inspect.getsourcelines(function)[1] + line} ({code[line].strip()})"


def _odd(x: torch.Tensor) -> torch.Tensor:
    return x + 1 if x.shape[1] % 2 else x  # asks


def _no_patches(x: torch.Tensor) -> torch.Tensor:
    if x.shape[1] % 5 != 0:  # asks
        x = F.pad(x, (0, 0, 0, 5 - x.shape[1] % 5))
    return x


def _thirds(x: torch.Tensor) -> torch.Tensor:
    return x * 2 if 2 * (x.shape[1] // 6) != x.shape[1] // 3 else x  # asks


def _tall(x: torch.Tensor) -> torch.Tensor:
    return x.flip(1) if x.shape[1] > x.shape[0] else x  # asks


def _crowded(x: torch.Tensor) -> torch.Tensor:
    return x.flip(1) if x.shape[1] * x.shape[0] % 3 else x  # asks


CONDITIONS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], int, str, int, int]] = {
    "odd": (_odd, 7, '"length" is odd', 9, 8),
    "no multiple": (_no_patches, 7, '"length" is no multiple of 5', 9, 10),
    "rests": (_thirds, 9, '"length" leaves 3, 4 or 5 when divided by 6', 11, 8),
    "two sizes": (_tall, 7, '"length" is greater than "batch"', 3, 2),
    "anything else": (_crowded, 7, 'goes the same way as in the example ("batch" 2, "length" 7)', 5, 6),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_question_that_no_range_answers_is_a_condition_in_words(name: str, tmp_path: Path) -> None:
    function, length, words, other, beyond = CONDITIONS[name]
    module = Function(function)
    graph = captured(module, sample(2, length, 3), dynamic=FREE, others=[[sample(2, other, 3)]])
    assert limits_of(graph) == {}
    (notice,) = graph.notices
    assert words in notice and _asked(function) in notice
    with pytest.raises(UsageError) as refused:
        run_graph(graph, {"x": sample(2, beyond, 3).numpy()})
    assert refused.value.code == "TP002" and f'"length" is {beyond}, and the model takes sizes' in refused.value.message
    assert words in refused.value.message and str(refused.value.help).startswith("pass ")
    graph.save(tmp_path / "model.triport")
    report = tp.export(tmp_path / "model.triport", tmp_path / "dist", to=["onnx"])
    assert notice in report.notes


@pytest.mark.parametrize(
    "damaged",
    [7, [["batch", "==", "1"]], [["batch", "~", "1", "…"]], [["height", "==", "1", "…"]], [["(", "==", "1", "…"]]],
)
def test_metadata_that_hold_no_conditions_are_refused(damaged: object) -> None:
    graph = tp.Graph("damaged")
    graph.add_input("x", TensorType(DType.FLOAT32, (Sym.named("batch"),)))
    graph.metadata["conditions"] = damaged
    with pytest.raises(FormatError, match="which is no relation of free sizes"):
        check_conditions(graph, {"batch": 2})


def test_a_limit_of_the_models_own_names_its_line() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        return x + 1 if x.shape[1] > 4 else x  # asks

    (notice,) = captured(Function(function), sample(2, 7, 3), dynamic=FREE).notices
    assert notice == f'"length" is free, with 5 at least: beyond, the model takes another way at {_asked(function)}'


def test_a_size_beyond_the_limit_is_refused_and_the_nearest_named() -> None:
    graph = tp.capture(Positions(), [sample(2, 7, 3)], FREE)
    assert graph.run({"x": np.zeros((1, 16, 3), np.float32)})["output"].shape == (1, 16, 3)
    with pytest.raises(UsageError, match='"length" is 17, and the model takes 16 at most') as refused:
        graph.run({"x": np.zeros((1, 17, 3), np.float32)})
    assert refused.value.code == "TP002"
    assert str(refused.value.help).startswith("pass 16")


def test_limits_travel_with_the_file_and_are_said_of_each_export(tmp_path: Path) -> None:
    graph = tp.capture(Function(lambda x: x * 2 if x.shape[0] > 2 else x), [sample(5, 3)])
    graph.save(tmp_path / "model.triport")
    report = tp.export(tmp_path / "model.triport", tmp_path / "dist", to=["onnx", "tflite"])
    assert any(note.startswith('"batch" is free, with 3 at least: beyond, ') for note in report.notes)
    checked = [check.case for _, runner in report.rows() if runner for check in runner.checks]
    assert {"batch 3", "batch 7"} <= set(checked) and not {"batch 1", "batch 2"} & set(checked)


def test_limits_meet() -> None:
    assert Limit(2, 9).meet(Limit(4)).meet(Limit(1, 7)) == Limit(4, 7)
    assert [Limit(4, 7).nearest(size) for size in (1, 5, 9)] == [4, 5, 7]
    assert list(map(str, (Limit(3), Limit(1, 4), Limit(3, 4)))) == ["3 at least", "4 at most", "3 to 4"]


@pytest.mark.parametrize(
    "damaged", [7, {"batch": 3}, {"batch": [1.5, 2]}, {"batch": [1, math.inf]}, {"batch": [True, 2]}]
)
def test_metadata_that_hold_no_limits_are_refused(damaged: object) -> None:
    graph = tp.Graph("damaged")
    graph.metadata["limits"] = damaged
    with pytest.raises(FormatError, match="which is no \\[least, most\\]"):
        check_limits(graph, {"batch": 2})


LEAST: dict[str, tuple[Any, int]] = {
    "a convolution": (nn.Conv1d(3, 2, 5), 5),
    "a dilated convolution": (nn.Conv1d(3, 2, 3, dilation=4), 9),
    "a padded convolution": (nn.Conv1d(3, 2, 5, padding=2), 1),
    "a pool": (nn.MaxPool1d(6), 6),
    "an average": (nn.AvgPool1d(6), 6),
    "windows": (Function(lambda x: x.unfold(2, 4, 1)), 4),
    "windows far apart": (Function(lambda x: x.unfold(2, 4, 3)), 4),
    "columns of windows": (Function(lambda x: F.unfold(x[:, :, None], (1, 3), dilation=2)), 5),
    "the best five": (Function(lambda x: x.topk(5, 2)[0]), 5),
    "a mirrored border": (Function(lambda x: F.pad(x, (4, 2), mode="reflect")), 5),
    "a repeated border": (Function(lambda x: F.pad(x, (4, 2), mode="replicate")), 1),
    "a slice": (Function(lambda x: x[..., 10:].amax(2)), 11),
    "a cell": (Function(lambda x: x[..., 5]), 6),
    "a cell from the end": (Function(lambda x: x[..., -6]), 6),
    "a slice of known length": (Function(lambda x: x[..., 3:7]), 7),
    "cells by number": (Function(lambda x: x[..., torch.tensor([0, 6])]), 7),
    "a cell of each row": (Function(lambda x: x.gather(2, torch.tensor([4]).expand(x.shape[0], 3, 1))), 5),
    "a border that goes round": (Function(lambda x: F.pad(x, (4, 0), mode="circular")), 4),
    "a slice that may be empty": (Function(lambda x: torch.cat([x[..., :1] * 0, x[..., :-1]], 2)), 1),
}


@pytest.mark.parametrize("name", LEAST)
def test_a_step_that_needs_more_cells_limits_the_size_from_below(name: str) -> None:
    module, least = LEAST[name]
    given = "x" if isinstance(module, Function) else "input"
    graph = captured(module, sample(2, 3, 12), dynamic={given: {0: "batch", 2: "length"}})
    assert limits_of(graph) == ({"length": Limit(least)} if least > 1 else {})
    if least > 1:
        (value,) = graph.inputs
        with pytest.raises(UsageError, match=f"the model takes {least} at least"):
            graph.run({value.name: np.zeros((1, 3, least - 1), np.float32)})
        assert graph.run({value.name: np.zeros((1, 3, least), np.float32)})


class Counted(nn.Module):
    """Takes the rows of a table that it counts out."""

    def __init__(self, places: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.table, self.places = nn.Embedding(20, 3), places

    def forward(self, x: torch.Tensor) -> Any:
        return x + self.table(self.places(x))


COUNTED: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], dict[str, Limit]]] = {
    "positions": (lambda x: torch.arange(x.shape[1]), {"length": Limit(1, 20)}),
    "positions of each row": (
        lambda x: torch.arange(x.shape[1])[None].expand(x.shape[0], -1).int(),
        {"length": Limit(1, 20)},
    ),
    "positions from two on": (lambda x: torch.arange(x.shape[1]) + 2, {"length": Limit(1, 18)}),
    "positions that stop": (lambda x: torch.arange(x.shape[1]).clamp(max=19), {}),
}


@pytest.mark.parametrize("name", COUNTED)
def test_an_embedding_of_positions_ends(name: str) -> None:
    places, told = COUNTED[name]
    assert limits(Counted(places)) == told


class TooLong(Exception):
    """The model's own way of refusing."""


def test_a_model_that_refuses_larger_sizes_is_captured_at_the_size_of_its_example() -> None:
    def halved(x: torch.Tensor) -> torch.Tensor:
        if x.shape[1] > 3:
            raise TooLong
        return x / 2

    graph = tp.capture(Function(halved), sample(1, 2), {"x": {0: "batch", 1: "length"}})
    assert limits_of(graph)["length"] == Limit(1, 3)


def test_a_defect_of_ours_is_not_taken_for_a_model_that_cannot_be_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bool:
        raise AttributeError("ours")

    monkeypatch.setattr(program, "takes_the_way_of", broken)
    with pytest.raises(AttributeError, match="ours"):
        tp.capture(Function(torch.relu), sample(1, 2))
