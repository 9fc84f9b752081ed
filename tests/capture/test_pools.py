"""Pools and convolutions as torch calls them: as it computes them, on every port, at any batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from capture.eager import Function, Function2, captured, ops, sample
from capture.ports import assert_ports_agree
from torch import nn

from triport.exporter.errors import ModelError
from triport.exporter.ops import Concat

Call = Callable[[torch.Tensor], torch.Tensor]

IMAGES: dict[str, Call] = {
    "mean over counted padding with ceil_mode": lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
    "mean beside padding with ceil_mode": lambda x: F.avg_pool2d(x, 3, 2, 1, True, count_include_pad=False),
    "mean with a divisor": lambda x: F.avg_pool2d(x, (2, 3), 2, (0, 1), divisor_override=4),
    "adaptive mean of unequal windows": lambda x: F.adaptive_avg_pool2d(x, (3, 4)),
    "adaptive mean of one axis": lambda x: F.adaptive_avg_pool2d(x, (1, None)),
    "adaptive maximum of unequal windows": lambda x: F.adaptive_max_pool2d(x, (5, 3)),
    "adaptive maximum to more cells": lambda x: F.adaptive_max_pool2d(x, (11, 8)),
    "dilated maximum with ceil_mode": lambda x: F.max_pool2d(x, 2, 2, 1, 3, ceil_mode=True),
    "area": lambda x: F.interpolate(x, size=(4, 3), mode="area"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_image_at_any_batch(name: str, tmp_path: Path) -> None:
    others = [[sample(n, 3, 7, 8, seed=n)] for n in (1, 7)]
    assert_ports_agree(tmp_path, Function(IMAGES[name]), [sample(2, 3, 7, 8)], others=others)


def one_image(call: Call, x: torch.Tensor, folder: Path) -> None:
    assert_ports_agree(folder, Function(call), [x], dynamic={})


SIGNAL, IMAGE, VOLUME, BACK = sample(4, 3, 2), sample(4, 3, 3, 3), sample(4, 3, 2, 2, 2), sample(3, 4, 2, 2)
"""Weights."""

SINGLE: dict[str, tuple[Call, tuple[int, ...]]] = {
    "conv1d": (lambda x: F.conv1d(x, SIGNAL), (3, 7)),
    "conv2d": (lambda x: F.conv2d(x, IMAGE, padding="same"), (3, 7, 6)),
    "conv3d": (lambda x: F.conv3d(x, VOLUME), (3, 4, 5, 6)),
    "conv_transpose2d": (lambda x: F.conv_transpose2d(x, BACK, stride=2), (3, 4, 5)),
    "max_pool1d": (lambda x: F.max_pool1d(x, 3, 2, 1), (3, 8)),
    "max_pool2d": (lambda x: F.max_pool2d(x, 3, 2, 1), (3, 8, 7)),
    "avg_pool3d": (lambda x: F.avg_pool3d(x, 2), (3, 4, 6, 5)),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, 1), (3, 4, 6)),
    "adaptive_max_pool1d": (lambda x: F.adaptive_max_pool1d(x, 3), (3, 7)),
}


@pytest.mark.parametrize("name", SINGLE)
def test_image_without_a_batch_axis(name: str, tmp_path: Path) -> None:
    call, shape = SINGLE[name]
    one_image(call, sample(*shape), tmp_path)


def test_weights_that_are_inputs(tmp_path: Path) -> None:
    def network(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return F.conv_transpose2d(F.conv2d(x, weight, groups=2, padding=1), weight, stride=2, groups=2)

    assert_ports_agree(tmp_path, Function2(network), [sample(2, 4, 6, 5), sample(4, 2, 3, 2)], dynamic={})


POSITIONS: dict[str, tuple[Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]], tuple[int, ...]]] = {
    "1d": (lambda x: F.max_pool1d(x, 3, 2, 1, return_indices=True), (3, 9)),
    "2d": (lambda x: F.max_pool2d(x, 3, 2, 1, 2, True, return_indices=True), (3, 7, 9)),
    "3d": (lambda x: F.max_pool3d(x, 2, 1, return_indices=True), (2, 3, 4, 5)),
    "adaptive": (lambda x: F.adaptive_max_pool2d(x, (3, 9), return_indices=True), (3, 7, 9)),
    "every cell a window": (lambda x: F.adaptive_max_pool2d(x, (4, 5), return_indices=True), (3, 4, 5)),
}


@pytest.mark.parametrize("name", POSITIONS)
def test_positions_of_maxima_and_of_ties(name: str, tmp_path: Path) -> None:
    call, shape = POSITIONS[name]
    x = sample(2, *shape).round()
    assert_ports_agree(tmp_path, Function(call), [x], others=[[sample(5, *shape, seed=5).round()]])


def test_position_of_the_last_of_several_nans() -> None:
    x = sample(1, 2, 6, 6)
    x[0, 0, 1, 1:3] = torch.nan
    captured(Function(lambda x: F.max_pool2d(x, 3, 2, return_indices=True)), x, dynamic={})


def test_maxima_return_to_their_positions(tmp_path: Path) -> None:
    def there_and_back(x: torch.Tensor) -> torch.Tensor:
        y, at = F.max_pool2d(x, 2, 2, return_indices=True)
        return F.max_unpool2d(y, at, (2, 2), (2, 2), output_size=(7, 6))

    others = [[sample(n, 3, 7, 6, seed=n)] for n in (1, 7)]
    assert_ports_agree(tmp_path, Function(there_and_back), [sample(2, 3, 7, 6)], others=others)


def test_positions_given_as_an_input(tmp_path: Path) -> None:
    y, at = F.max_pool3d(sample(3, 4, 6, 4), 2, return_indices=True)
    assert_ports_agree(tmp_path, Function2(lambda y, at: F.max_unpool3d(y, at, (2, 2, 2))), [y, at], dynamic={})


def test_pool_to_one_cell_takes_any_size(tmp_path: Path) -> None:
    free = {"x": {0: "batch", 2: "height", 3: "width"}}
    others = [[sample(1, 3, 5, 9, seed=1)]]
    assert_ports_agree(
        tmp_path, Function(lambda x: F.adaptive_avg_pool2d(x, 1)), [sample(2, 3, 7, 8)], dynamic=free, others=others
    )


def test_equal_windows_are_one_pool() -> None:
    graph = captured(Function(lambda x: F.adaptive_avg_pool2d(x, (2, 3))), sample(2, 3, 8, 9))
    assert len(graph.nodes) == 1
    graph = captured(Function(lambda x: F.adaptive_avg_pool2d(x, (2, 4))), sample(2, 3, 8, 9))
    assert sum(isinstance(node.op, Concat) for node in graph.nodes) == 1, "one axis has windows of unequal size"


OVER_THE_END: dict[str, Call] = {
    "maximum": lambda x: F.max_pool2d(x, 2, 2, ceil_mode=True),
    "maximum of three": lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
    "dilated maximum": lambda x: F.max_pool2d(x, (3, 2), 2, 1, (2, 3), ceil_mode=True),
    "mean": lambda x: F.avg_pool2d(x, 3, 2, ceil_mode=True),
    "mean over counted padding": lambda x: F.avg_pool2d(x, (5, 3), 2, (2, 1), ceil_mode=True),
    "mean beside padding": lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
    "mean with a divisor": lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, divisor_override=5),
    "and back to the size": lambda x: F.interpolate(
        F.max_pool2d(F.max_pool2d(x, 2, ceil_mode=True), 2, ceil_mode=True), size=x.shape[2:], mode="bilinear"
    ),
}
"""With ceil_mode, whether and how far the last window hangs over depends on the size."""


@pytest.mark.parametrize("name", OVER_THE_END)
def test_ceil_mode_over_free_sizes(name: str, tmp_path: Path) -> None:
    free = {"x": {0: "batch", 2: "height", 3: "width"}}
    others = [[sample(n, 3, height, width, seed=n)] for n, height, width in ((1, 8, 6), (3, 9, 7), (2, 11, 15))]
    assert_ports_agree(tmp_path, Function(OVER_THE_END[name]), [sample(2, 3, 7, 8)], dynamic=free, others=others)


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1, "dilation": 2}, {"stride": 2, "ceil_mode": True}])
def test_maximum_over_a_free_length(options: dict[str, Any], tmp_path: Path) -> None:
    free = {"x": {0: "batch", 2: "length"}}
    others = [[sample(1, 4, 12, seed=1)], [sample(3, 4, 7, seed=3)]]
    pool = nn.MaxPool1d(3, **options)
    graph = assert_ports_agree(tmp_path, pool, [sample(2, 4, 9)], {"input": free["x"]}, others)
    assert ops(graph) == ["max_pool"]


def test_ceil_mode_whose_last_window_comes_and_goes_with_a_free_size_is_refused() -> None:
    def three_by_three(x: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(x, 3, 3, 1, ceil_mode=True)

    captured(Function(three_by_three), sample(2, 3, 7, 8))
    with pytest.raises(ModelError, match="the free dimension height decides whether the last window is left out"):
        captured(Function(three_by_three), sample(2, 3, 7, 8), dynamic={"x": {2: "height"}})


ALL_CELLS: dict[str, Call] = {
    "mean": lambda x: F.avg_pool2d(x, x.shape[2:]),
    "mean with a stride": lambda x: F.avg_pool2d(x, (x.shape[2], x.shape[3]), stride=(x.shape[2], x.shape[3])),
    "maximum": lambda x: F.max_pool2d(x, kernel_size=x.shape[2:]),
    "mean of a pooled signal": lambda x: F.avg_pool1d(
        F.max_pool2d(x, 2).flatten(2), x.shape[2] // 2 * (x.shape[3] // 2)
    ),
}


@pytest.mark.parametrize("name", ALL_CELLS)
def test_a_window_over_all_cells_of_a_free_size(name: str, tmp_path: Path) -> None:
    free = {"x": {0: "batch", 2: "height", 3: "width"}}
    others = [[sample(n, 3, height, width, seed=n)] for n, height, width in ((1, 9, 8), (3, 10, 7))]
    assert_ports_agree(tmp_path, Function(ALL_CELLS[name]), [sample(2, 3, 7, 9)], dynamic=free, others=others)


def test_padding_up_to_a_multiple_of_a_window(tmp_path: Path) -> None:
    def cut(x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[2:]
        x = F.pad(x, (0, (4 - width % 4) % 4, 0, -height % 3), value=1.0)
        return F.max_pool2d(x, (3, 4))

    free = {"x": {0: "batch", 2: "height", 3: "width"}}
    others = [[sample(n, 3, height, width, seed=n)] for n, height, width in ((1, 9, 8), (3, 10, 7))]
    assert_ports_agree(tmp_path, Function(cut), [sample(2, 3, 7, 9)], dynamic=free, others=others)


def test_a_skip_over_pools_is_padded_to_its_size(tmp_path: Path) -> None:
    def skip(x: torch.Tensor) -> torch.Tensor:
        y = F.interpolate(F.max_pool2d(x, 2), scale_factor=2)
        height, width = (a - b for a, b in zip(x.shape[2:], y.shape[2:], strict=True))
        return torch.cat([x, F.pad(y, (width // 2, width - width // 2, height // 2, height - height // 2))], 1)

    free = {"x": {0: "batch", 2: "height", 3: "width"}}
    others = [[sample(n, 3, height, width, seed=n)] for n, height, width in ((1, 10, 8), (3, 11, 7))]
    assert_ports_agree(tmp_path, Function(skip), [sample(2, 3, 7, 9)], dynamic=free, others=others)


def test_padding_that_may_turn_out_to_crop_is_refused() -> None:
    def fit(x: torch.Tensor) -> torch.Tensor:
        return F.pad(x, (0, 0, 0, 9 - x.shape[2]))

    with pytest.raises(ModelError, match=r"whether a side of -height\+9 cells is padded or cropped"):
        captured(Function(fit), sample(2, 3, 7, 8), dynamic={"x": {2: "height"}})


@pytest.mark.parametrize("pool", [F.adaptive_avg_pool2d, F.adaptive_max_pool2d])
def test_windows_whose_bounds_a_free_size_sets(pool: Callable[..., torch.Tensor], tmp_path: Path) -> None:
    free = {"x": {0: "batch", 2: "height", 3: "width"}}
    others = [[sample(n, 3, height, width, seed=n)] for n, height, width in ((1, 6, 8), (3, 11, 4), (1, 3, 2))]
    function = Function(lambda x: pool(x, (3, 5)))
    assert_ports_agree(tmp_path, function, [sample(2, 3, 7, 8)], dynamic=free, others=others)


def test_pooling_to_a_free_size_is_refused() -> None:
    with pytest.raises(ModelError, match="the size that is pooled to depends on the free dimension height"):
        captured(
            Function(lambda x: F.adaptive_avg_pool2d(x, (x.shape[2] - 1, 3))),
            sample(2, 3, 8, 9),
            dynamic={"x": {2: "height"}},
        )


@pytest.mark.parametrize("threshold", [20.0, 3.0])
def test_softplus_returns_x_above_its_threshold(threshold: float, tmp_path: Path) -> None:
    one_image(lambda x: F.softplus(x, 2.0, threshold), 3 * sample(4, 5), tmp_path)


def test_softmax_and_slope_of_a_number(tmp_path: Path) -> None:
    one_image(lambda x: F.softmax(x, 0) + F.prelu(x, torch.full((1,), 0.3)), torch.tensor(-1.5), tmp_path)
