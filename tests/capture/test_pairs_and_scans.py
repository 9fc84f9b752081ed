"""Distances of all pairs, places in a sorted row, running extremes."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from capture.eager import Function, Function2, captured, sample
from capture.ports import assert_ports_agree

CASES: dict[str, Callable[[torch.Tensor], Any]] = {
    "cdist": lambda x: (torch.cdist(x, x[:, :2] + 1), torch.cdist(x, torch.ones(3, 6), p=1)),
    "cdist of other orders": lambda x: (torch.cdist(x, -x, p=3), torch.cdist(x, -x, p=math.inf)),
    "cdist of matrices": lambda x: torch.cdist(torch.ones(2, 6), torch.zeros(3, 6)) + x[:, :2, :3],
    "pdist": lambda x: F.pdist(torch.arange(12.0).reshape(4, 3).sin() * x[0, 0, 0]),
    "searchsorted": lambda x: torch.searchsorted(torch.linspace(-1, 1, 5), x),
    "searchsorted from the right": lambda x: torch.searchsorted(torch.tensor([-1.0, 0, 0, 2]), x.round(), right=True),
    "searchsorted by rows": lambda x: torch.searchsorted(x.sort(-1)[0], x * 0.9, side="right", out_int32=True),
    "searchsorted of integers": lambda x: torch.searchsorted(torch.tensor([-2, 0, 3]), (x * 3).int()),
    "bucketize": lambda x: (
        torch.bucketize(x, torch.tensor([-1.0, 0.5])),
        torch.bucketize(x, torch.ones(1), right=True),
    ),
    "cummax": lambda x: (*x.round().cummax(2), *x.cummax(1), x[..., :1].cummax(2)[0]),
    "cummin": lambda x: (*x.round().cummin(-1), *x[0, 0, 0].cummin(0)),
    "logcumsumexp": lambda x: (x.logcumsumexp(2), (x * 40).logcumsumexp(1), x[0, 0, 0].logcumsumexp(0)),
    "msort": lambda x: torch.msort(x[0]),
    "erfc": lambda x: (torch.erfc(x), torch.special.erfc(x)),
}


@pytest.mark.parametrize("name", CASES)
def test_answers_as_torch(name: str) -> None:
    captured(Function(CASES[name]), sample(2, 5, 6), dynamic={})


def test_distances_and_scans_on_every_port(tmp_path: Path) -> None:
    def both(x: torch.Tensor, y: torch.Tensor) -> Any:
        values, places = x.cummax(2)
        return torch.cdist(x, y), values, places, x.logcumsumexp(2), torch.bucketize(y, torch.tensor([0.0, 0.5]))

    dynamic = {"x": {0: "batch", 1: "rows"}, "y": {0: "batch", 1: "others"}}
    more = [[sample(3, 2, 5), sample(3, 7, 5)]]
    assert_ports_agree(tmp_path, Function2(both), [sample(2, 4, 5), sample(2, 3, 5)], dynamic, more)
