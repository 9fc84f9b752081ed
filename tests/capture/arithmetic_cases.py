"""Arithmetic, comparisons, logic, reductions and sorting, for tests/capture/test_converters.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

ROW = (1, 12)
CELLS = (1, 4, 9, 7)


def _unit(x: torch.Tensor) -> torch.Tensor:
    return torch.tanh(x) * 0.9


def _integers(x: torch.Tensor) -> torch.Tensor:
    return (x * 5).to(torch.int64)


def _odd(x: torch.Tensor) -> torch.Tensor:
    """NaN where x lies above 1, an infinity below -1."""
    return torch.where(x > 1, torch.nan, torch.where(x < -1, -torch.inf, x))


FUNCTIONS: dict[str, tuple[Callable[[torch.Tensor], Any], tuple[int, ...]]] = {
    "waves": (lambda x: (x.sin(), x.cos(), x.tan(), x.atan(), x.sinh(), x.cosh(), x.asinh()), ROW),
    "inverse waves": (lambda x: (_unit(x).asin(), _unit(x).acos(), _unit(x).atanh(), (x.abs() + 1.1).acosh()), ROW),
    "arc names": (
        lambda x: (
            *(torch.arcsin(_unit(x)), torch.arccos(_unit(x)), torch.arctan(x), torch.arcsinh(x)),
            *(torch.arccosh(x.abs() + 1.1), torch.arctanh(_unit(x)), torch.arctan2(x, x + 1)),
        ),
        ROW,
    ),
    "signs": (lambda x: (x.sign(), _integers(x).sign(), torch.absolute(x), torch.negative(x), x.signbit()), ROW),
    "small numbers": (
        lambda x: (x.expm1(), (x.abs() * 1e-4).log1p(), torch.special.expm1(x), torch.special.log1p(x.abs())),
        ROW,
    ),
    "special erf": (lambda x: (torch.special.erf(x), torch.special.exp2(x), torch.exp2(x)), ROW),
    "rounding": (lambda x: (x.floor(), x.ceil(), x.round(), x.trunc(), x.fix(), x.frac(), x.round(decimals=1)), ROW),
    "rounding integers": (lambda x: (_integers(x).floor(), _integers(x).ceil(), x.round(decimals=-1)), ROW),
    "logarithms": (lambda x: (x.abs().log2(), (x.abs() + 1).log10(), torch.deg2rad(x), torch.rad2deg(x)), ROW),
    "division": (
        lambda x: (
            *(torch.div(x, 0.7, rounding_mode="floor"), torch.div(x, 0.7, rounding_mode="trunc"), x // 0.7),
            *(torch.div(_integers(x), 3, rounding_mode="trunc"), _integers(x) // 3, _integers(x) // -4),
            *(torch.divide(x, 3.0), torch.true_divide(x, 2.0), torch.div(x, 2.0, rounding_mode=None)),
        ),
        ROW,
    ),
    "remainders": (lambda x: (x % 0.7, x % -0.7, x.fmod(0.7), _integers(x) % 3, _integers(x).fmod(-4)), ROW),
    "products and sums": (
        lambda x: (
            *(torch.addcmul(x, x, x + 1, value=0.5), torch.addcdiv(x, x, x.abs() + 1, value=2)),
            *(torch.lerp(x, x + 1, 0.3), torch.lerp(x, x * 2, x.abs())),
        ),
        ROW,
    ),
    "two legs": (
        lambda x: (torch.hypot(x, x + 1), torch.atan2(x, x - 1), torch.copysign(x, -x), x.copysign(-1.0)),
        ROW,
    ),
    "logarithms of products": (
        lambda x: (torch.xlogy(x.relu(), x.relu()), torch.xlogy(x, 2.0), torch.logaddexp(x, x * 3)),
        ROW,
    ),
    "heaviside": (lambda x: torch.heaviside(x.relu(), torch.tensor(0.5)), ROW),
    "powers of numbers": (lambda x: (2.0**x, torch.pow(3, _integers(x).abs() % 5)), ROW),
    "comparisons": (
        lambda x: (
            x == 0.5,
            x != x.round(),
            x < 0,
            x <= -x,
            x > 0.5,
            x >= _integers(x),
            _integers(x) < 1.5,
            (x > 0) > 0,
        ),
        ROW,
    ),
    "comparisons by name": (
        lambda x: (
            *(torch.not_equal(x, 0), torch.less(x, 0), torch.less_equal(x, 0), torch.greater(x, 0)),
            torch.greater_equal(x, 0),
        ),
        ROW,
    ),
    "logic": (
        lambda x: (
            *(torch.logical_and(x > 0, x), torch.logical_or(x > 0, x < -1), torch.logical_xor(x > 0, x < 1)),
            *(
                torch.logical_not(x > 0),
                torch.logical_not(_integers(x)),
                ~(x > 0),
                (x > 0) & (x < 1),
                (x > 1) | (x < 0),
            ),
            *((x > 0) ^ (x < 1), (x > 0) * (x < 1), (x > 0) + (x < 1)),
        ),
        ROW,
    ),
    "bits": (
        lambda x: (
            *(_integers(x) & 6, _integers(x) | 5, _integers(x) ^ _integers(x * 2), ~_integers(x)),
            *(_integers(x) << 2, _integers(x) >> 1, torch.bitwise_right_shift(_integers(x), torch.tensor(2))),
            *(torch.bitwise_left_shift(_integers(x), torch.tensor(1)), ~(x.abs() * 9).to(torch.uint8)),
        ),
        ROW,
    ),
    "what is finite": (
        lambda x: (
            *(_odd(x).isnan(), _odd(x).isinf(), _odd(x).isfinite(), torch.isposinf(-_odd(x)), torch.isneginf(_odd(x))),
            *(_odd(x).nan_to_num(), _odd(x).nan_to_num(1.0, 2.0, 3.0), _integers(x).isnan(), _integers(x).isfinite()),
        ),
        ROW,
    ),
    "choices": (
        lambda x: (
            *(torch.where(x > 0, x, -x), torch.where(x > 0, x, 0.0), torch.where(x > 0, 1.0, 0.0)),
            *(torch.where(x > 0, _integers(x), x), x.masked_fill(x > 0, -9.0), x.masked_fill(x > 0, torch.tensor(3.0))),
        ),
        ROW,
    ),
    "clamps of integers": (lambda x: (_integers(x).clamp(-2, 3), _integers(x).relu(), _integers(x).clamp_max(1)), ROW),
    "clamps by tensors": (
        lambda x: (torch.clamp(x, -x.abs() / 2, x.abs() / 3), x.clamp_max(x.mean()), torch.clamp(x, min=x * 2)),
        ROW,
    ),
    "shrinking": (lambda x: (F.hardshrink(x, 0.7), F.softshrink(x, 0.4), F.tanhshrink(x), F.threshold(x, 0.3, 9)), ROW),
    "gates": (lambda x: (F.glu(x, 1), F.rrelu(x), torch.logit(x.sigmoid()), torch.logit(x.abs() / 3, 0.1)), ROW),
    "products": (lambda x: (x.prod(), x.prod(1), x.prod(-1, keepdim=True), _integers(x).prod(1)), ROW),
    "any and all": (
        lambda x: (
            *((x > 3).any(), (x > 1.9).any(1), (x > -1.9).all(-1), (x > -3).all(), x.any(1, keepdim=True)),
            *(torch.any(x > 1.9, (0, 1)), torch.all(x > 0, (0, 1))),
        ),
        ROW,
    ),
    "positions": (
        lambda x: (x.argmax(), x.argmax(1), x.argmin(1, keepdim=True), x.argmin(), *x.max(1), *x.min(1, keepdim=True)),
        ROW,
    ),
    "extremes of all": (lambda x: (x.max(), x.min(), _integers(x).max(), (x > 0).amax(1), *x.aminmax(dim=1)), ROW),
    "spread": (
        lambda x: (
            *(
                x.var(),
                x.std(1),
                x.var(1, correction=0),
                x.std((1, 2), keepdim=True),
                x.std(),
                x.var(0, False),
                x.var(False),
                x.std(True),
            ),
            *(*torch.var_mean(x, 1), *torch.std_mean(x, (1, 2), correction=0)),
        ),
        CELLS,
    ),
    "norms": (
        lambda x: (
            *(torch.linalg.vector_norm(x, order, (1, 2)) for order in (0, 1, 2, 3, torch.inf, -torch.inf)),
            *(x.norm(), x.norm(3, 1), x.norm(p=2, dim=(1, 2), keepdim=True), torch.linalg.vector_norm(x)),
            torch.linalg.norm(x[0, 0]),
        ),
        CELLS,
    ),
    "logsumexp": (lambda x: (x.logsumexp(1), x.logsumexp((1, -1), keepdim=True)), CELLS),
    "counts": (lambda x: (x.relu().count_nonzero(), x.relu().count_nonzero(1), x.relu().count_nonzero((1, 2))), CELLS),
    "sorting": (
        lambda x: (
            *(*x.sort(1), *x.sort(-1, descending=True), x.argsort(1), *torch.sort(x, dim=1, stable=True)),
            *(torch.argsort(x, dim=1, stable=True), _integers(x).sort(1)[0]),
        ),
        ROW,
    ),
    "the best": (
        lambda x: (*x.topk(3, 1), *x.topk(2, 1, largest=False), *x.kthvalue(2, 1), *x.kthvalue(3, 1, keepdim=True)),
        ROW,
    ),
    "medians": (lambda x: (*x.median(1), *x[:, :5].median(1, keepdim=True), x[0].median()), ROW),
    "running totals": (lambda x: (x.cumsum(1), _integers(x).cumsum(0), x.cumprod(1), x[0, :1].cumprod(0)), ROW),
}
