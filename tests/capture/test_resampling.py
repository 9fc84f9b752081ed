"""Resampling as torch calls it: as it computes it, on every port, at any batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from capture.eager import Function, captured, sample
from capture.ports import assert_ports_agree

from triport.exporter.errors import ModelError
from triport.exporter.ops import Resize

RESIZES: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], tuple[int, ...]]] = {
    "nearest by a factor": (lambda x: F.interpolate(x, scale_factor=(1.7, 0.6)), (4, 5)),
    "nearest exact": (lambda x: F.interpolate(x, size=(7, 3), mode="nearest-exact"), (4, 5)),
    "nearest exact of a signal": (lambda x: F.interpolate(x, scale_factor=1.7, mode="nearest-exact"), (6,)),
    "nearest exact of a volume": (lambda x: F.interpolate(x, size=(2, 7, 6), mode="nearest-exact"), (3, 4, 5)),
    "bilinear by a factor": (lambda x: F.interpolate(x, scale_factor=(1.7, 0.6), mode="bilinear"), (4, 5)),
    "bilinear by a recomputed factor": (
        lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear", recompute_scale_factor=True),
        (4, 5),
    ),
    "trilinear by a factor": (lambda x: F.interpolate(x, scale_factor=1.3, mode="trilinear"), (3, 4, 5)),
    "bicubic": (lambda x: F.interpolate(x, size=(7, 9), mode="bicubic"), (4, 5)),
    "bicubic by a factor": (lambda x: F.interpolate(x, scale_factor=0.6, mode="bicubic"), (4, 5)),
    "bicubic with aligned corners": (
        lambda x: F.interpolate(x, size=(7, 1), mode="bicubic", align_corners=True),
        (4, 5),
    ),
    "bicubic, antialiased": (lambda x: F.interpolate(x, size=(4, 17), mode="bicubic", antialias=True), (13, 11)),
    "bicubic by a factor, antialiased": (
        lambda x: F.interpolate(x, scale_factor=(0.37, 2.0), mode="bicubic", antialias=True, align_corners=True),
        (13, 11),
    ),
    "bilinear, antialiased": (lambda x: F.interpolate(x, size=(1, 5), mode="bilinear", antialias=True), (13, 11)),
    "bilinear by a factor, antialiased": (
        lambda x: F.interpolate(x, scale_factor=(1.0, 0.3), mode="bilinear", antialias=True),
        (9, 11),
    ),
}


@pytest.mark.parametrize("name", RESIZES)
def test_resampling_at_any_batch(name: str, tmp_path: Path) -> None:
    call, size = RESIZES[name]
    others = [[sample(n, 3, *size, seed=n)] for n in (1, 7)]
    assert_ports_agree(tmp_path, Function(call), [sample(2, 3, *size)], others=others)


def test_a_factor_that_fits_the_sizes_is_one_resize() -> None:
    graph = captured(Function(lambda x: F.interpolate(x, scale_factor=2.0)), sample(2, 3, 4, 5))
    assert [type(node.op) for node in graph.nodes] == [Resize]


@pytest.mark.parametrize("factor", [2.0, 1.5, 0.75])
def test_a_factor_on_free_sizes(factor: float, tmp_path: Path) -> None:
    def resized(x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, scale_factor=factor, mode="bilinear", recompute_scale_factor=True)

    free = {"x": {0: "batch", 2: "height", 3: "width"}}
    others = [[sample(n, 3, 9 + n, 7 - n, seed=n)] for n in (1, 3)]
    graph = assert_ports_agree(tmp_path, Function(resized), [sample(2, 3, 7, 8)], dynamic=free, others=others)
    assert Resize in {type(node.op) for node in graph.nodes}


def test_a_factor_whose_rounding_depends_on_a_free_size_is_refused() -> None:
    with pytest.raises(ModelError, match=r"a size is 0\.3"):
        captured(
            Function(lambda x: F.interpolate(x, scale_factor=0.3, recompute_scale_factor=True)),
            sample(2, 3, 8, 9),
            dynamic={"x": {2: "height"}},
        )


PHASES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "bicubic to twice the size": lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"),
    "bicubic to four times the size": lambda x: F.interpolate(x, size=[4 * n for n in x.shape[2:]], mode="bicubic"),
    "bicubic to half": lambda x: F.interpolate(x, scale_factor=0.5, mode="bicubic"),
    "bilinear to half": lambda x: F.interpolate(x, scale_factor=0.5, mode="bilinear"),
    "bilinear by two factors": lambda x: F.interpolate(x, scale_factor=(0.5, 0.25), mode="bilinear"),
    "nearest by a factor": lambda x: F.interpolate(x, scale_factor=1.5),
    "nearest exact": lambda x: F.interpolate(x, scale_factor=2.5, mode="nearest-exact"),
}


@pytest.mark.parametrize("name", PHASES)
def test_free_sizes_by_phases(name: str, tmp_path: Path) -> None:
    free = {"x": {0: "batch", 2: "height", 3: "width"}}
    others = [[sample(n, 3, 9 + n, 7 - n, seed=n)] for n in (1, 3)]
    assert_ports_agree(tmp_path, Function(PHASES[name]), [sample(2, 3, 7, 8)], dynamic=free, others=others)


@pytest.mark.parametrize("options", [{"size": (7, 9)}, {"scale_factor": 3}, {"scale_factor": 2, "align_corners": True}])
def test_bicubic_from_a_free_size_is_refused(options: dict[str, Any]) -> None:
    """Where torch's rounded positions, or the number of different weights, depend on the size."""
    with pytest.raises(ModelError, match="resampling over axis 2 depends on the free dimension height"):
        captured(
            Function(lambda x: F.interpolate(x, mode="bicubic", **options)),
            sample(2, 3, 4, 5),
            dynamic={"x": {2: "height"}},
        )
