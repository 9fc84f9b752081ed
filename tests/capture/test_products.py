"""Matrix products and einsum: as torch computes them, on every port."""

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


class Function3(Function):
    def forward(self, x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> Any:  # type: ignore[override]
        return self.function(x, y, z)


Shapes = tuple[tuple[int, ...], ...]

PRODUCTS: dict[str, tuple[Callable[..., Any], Shapes]] = {
    "mv": (torch.mv, ((3, 4), (4,))),
    "dot": (torch.dot, ((4,), (4,))),
    "mm": (torch.mm, ((3, 4), (4, 2))),
    "vector times matrix": (torch.matmul, ((4,), (4, 2))),
    "vector times matrices": (torch.matmul, ((4,), (3, 4, 2))),
    "matrices times vector": (torch.matmul, ((3, 2, 4), (4,))),
    "broadcast matrices": (torch.matmul, ((3, 1, 2, 4), (5, 4, 2))),
    "one by one": (torch.matmul, ((1, 1), (1, 1))),
    "addmm": (lambda x, y, z: torch.addmm(x, y, z, beta=0.5, alpha=2), ((3, 2), (3, 4), (4, 2))),
    "addmv": (lambda x, y, z: torch.addmv(x, y, z, alpha=2), ((3,), (3, 4), (4,))),
    "baddbmm": (lambda x, y, z: torch.baddbmm(x, y, z, beta=0.5), ((1, 1, 2), (5, 3, 4), (5, 4, 2))),
    "addbmm": (lambda x, y, z: torch.addbmm(x, y, z, alpha=-2), ((3, 2), (5, 3, 4), (5, 4, 2))),
    "addr": (torch.addr, ((3, 4), (3,), (4,))),
    "outer": (torch.outer, ((3,), (4,))),
    "ger": (torch.ger, ((3,), (4,))),
    "inner": (torch.inner, ((2, 3, 4), (5, 4))),
    "inner with a vector": (torch.inner, ((4,), (5, 4))),
    "tensordot": (lambda x, y: torch.tensordot(x, y, 2), ((2, 3, 4), (3, 4, 5))),
    "tensordot of chosen axes": (lambda x, y: torch.tensordot(x, y, ([0], [1])), ((2, 3), (4, 2))),
    "multi_dot": (lambda x, y, z: torch.linalg.multi_dot([x, y, z]), ((3, 4), (4, 5), (5, 2))),
    "chain_matmul": (lambda x, y, z: torch.ops.aten.chain_matmul([x, y, z]), ((3, 4), (4, 5), (5, 2))),
    "vecdot": (torch.linalg.vecdot, ((3, 4), (3, 4))),
    "kron": (torch.kron, ((3, 4), (2, 2))),
    "bilinear": (lambda x, y: F.bilinear(x, y, torch.linspace(-1, 1, 60).view(5, 3, 4)), ((2, 3), (2, 4))),
    "linear with a weight that comes in": (F.linear, ((2, 3, 4), (5, 4), (5,))),
    "linear with a vector": (F.linear, ((2, 3), (3,))),
}

EQUATIONS: dict[str, Shapes] = {
    "bqhd,bkhd->bhqk": ((2, 3, 4, 5), (2, 6, 4, 5)),
    "bhqk,bkhd->bqhd": ((2, 4, 3, 6), (2, 6, 4, 5)),
    "ij,jk": ((2, 3), (3, 4)),
    "kj,ji": ((2, 3), (3, 4)),
    "ij->ji": ((2, 3),),
    "ij->": ((2, 3),),
    "ii->i": ((3, 3),),
    "ii": ((3, 3),),
    "bii->bi": ((2, 3, 3),),
    "i,i": ((3,), (3,)),
    "i,j->ij": ((3,), (4,)),
    "...i,...i->...": ((2, 3, 4), (3, 4)),
    "b...d,de->b...e": ((2, 3, 4), (4, 5)),
    "ij,kj->ik": ((2, 1), (4, 3)),
    "bn,anm,bm->ba": ((2, 3), (5, 3, 4), (2, 4)),
    "aij,bjk->abik": ((2, 3, 4), (5, 4, 3)),
    "bhwc,hkc->bhwk": ((2, 3, 4, 5), (3, 6, 5)),
    "ij,ik->j": ((2, 3), (2, 4)),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_product_on_every_port(name: str, tmp_path: Path) -> None:
    function, shapes = PRODUCTS[name]
    _assert_agree(tmp_path, function, shapes)


@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum_on_every_port(equation: str, tmp_path: Path) -> None:
    _assert_agree(tmp_path, lambda *given: torch.einsum(equation, *given), EQUATIONS[equation])


def _assert_agree(folder: Path, function: Callable[..., Any], shapes: Shapes) -> None:
    module = {1: Function, 2: Function2, 3: Function3}[len(shapes)](function)
    examples = [sample(*shape, seed=i) for i, shape in enumerate(shapes)]
    assert_ports_agree(folder, module, examples, {})


def test_einsum_keeps_two_free_sizes(tmp_path: Path) -> None:
    module = Function2(lambda x, y: torch.einsum("bqhd,bkhd->bhqk", x, y))
    examples = [sample(2, 3, 4, 5), sample(2, 6, 4, 5)]
    others = [[sample(n, q, 4, 5), sample(n, k, 4, 5)] for n, q, k in ((1, 1, 1), (2, 7, 3), (7, 2, 5))]
    free = {"x": {0: "batch", 1: "queries"}, "y": {0: "batch", 1: "keys"}}
    assert_ports_agree(tmp_path, module, examples, free, others)


def test_a_product_with_a_held_matrix_is_a_linear_layer() -> None:
    class Held(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(sample(4, 3))

        def forward(self, x: torch.Tensor) -> Any:
            return x @ self.weight, F.relu(x @ self.weight) @ self.weight.T

    assert [op for op in ops(captured(Held(), sample(2, 4))) if op != "transpose"] == [
        *("linear", "linear", "relu", "linear"),
    ]


def test_addmm_does_not_look_at_what_beta_makes_nothing() -> None:
    module = Function2(lambda x, y: torch.addmm(x, y, y, beta=0))
    captured(module, torch.full((3, 3), float("nan")), sample(3, 3), dynamic={})
