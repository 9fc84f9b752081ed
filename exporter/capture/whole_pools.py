"""Keeps free sizes free in pools while torch.export traces a module.

torch takes the windows of pools, and in `max_pool1d` the length of the signal, as whole numbers of C++, which fixes a
size that was to stay free. So for the time of an export `torch.max_pool1d` is an op of our own with the shape rule of
`max_pool2d`, which `pool.py` turns into a node, and a pool whose window is as large as its input
(``avg_pool2d(x, x.shape[2:])``) is a mean or a maximum over the axes.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from .recurrent_calls import NAMESPACE

_CALL = "max_pool1d"
_OP = f"{NAMESPACE}::{_CALL}"

Numbers = int | Sequence[int]


@contextlib.contextmanager
def whole_pools() -> Iterator[None]:
    """While it lasts, pools are traced so."""
    _define()
    names = [f"{kind}_pool{rank}d" for kind in ("avg", "max") for rank in (1, 2, 3)]
    before = [(torch, _CALL, getattr(torch, _CALL)), *((F, name, getattr(F, name)) for name in names)]
    try:
        setattr(torch, _CALL, _whole)
        for _, name, pool in before[1:]:
            setattr(F, name, _over_all(pool))
        yield
    finally:
        for place, name, pool in before:
            setattr(place, name, pool)


@functools.cache
def _define() -> None:
    """Declares the op, once a process."""
    torch.library.define(
        _OP, "(Tensor x, int[] kernel, int[] stride, int[] padding, int[] dilation, bool ceil_mode) -> Tensor"
    )
    torch.library.register_fake(_OP, _shape)


def _over_all(pool: Callable[..., Any]) -> Callable[..., Any]:
    """A pool of torch.nn.functional; over all cells where the window is a free size, and that of the input."""

    @functools.wraps(pool)
    def pooled(input: torch.Tensor, kernel_size: Numbers, *rest: Any, **options: Any) -> Any:
        kernel = [kernel_size] if isinstance(kernel_size, int | torch.SymInt) else list(kernel_size)
        plain = not any(isinstance(size, torch.SymInt) for size in kernel) or len(rest) > 1
        if plain or options.keys() - {"stride"} or not all(map(_same, kernel, input.shape[-len(kernel) :])):
            return pool(input, kernel_size, *rest, **options)
        axes = list(range(-len(kernel), 0))
        return input.amax(axes, keepdim=True) if "max" in pool.__name__ else input.mean(axes, keepdim=True)

    return pooled


def _same(size: int | torch.SymInt, other: int | torch.SymInt) -> bool:
    """Whether two sizes are equal whatever the free dims, without asking torch, which would fix them."""
    first, second = (s.node.expr if isinstance(s, torch.SymInt) else s for s in (size, other))
    return bool(first == second)


def _whole(
    input: torch.Tensor,
    kernel_size: Numbers,
    stride: Numbers | None = None,
    padding: Numbers = 0,
    dilation: Numbers = 1,
    ceil_mode: bool = False,
) -> torch.Tensor:
    """A call with torch's own arguments."""
    window = [_listed(numbers) for numbers in (kernel_size, stride or kernel_size, padding, dilation)]
    result: torch.Tensor = torch.ops.triport.max_pool1d(input, *window, ceil_mode)
    return result


def _listed(numbers: Numbers) -> list[int]:
    return [numbers] if isinstance(numbers, int) else list(numbers)


def _shape(
    x: torch.Tensor, kernel: list[int], stride: list[int], padding: list[int], dilation: list[int], ceil_mode: bool
) -> torch.Tensor:
    rows = F.max_pool2d(x.unsqueeze(-2), (1, *kernel), (1, *stride), (0, *padding), (1, *dilation), ceil_mode)
    return rows.squeeze(-2)
