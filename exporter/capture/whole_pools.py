"""Keeps `torch.max_pool1d` whole while torch.export traces a module.

torch computes it in C++ with whole numbers for sizes, so the length of a signal that was to stay free would be fixed.
Here it is, for the time of an export, an op of our own with the shape rule of `max_pool2d`; `pool.py` turns it into a
node.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence

import torch

from .recurrent_calls import NAMESPACE

_CALL = "max_pool1d"
_OP = f"{NAMESPACE}::{_CALL}"

Numbers = int | Sequence[int]


@contextlib.contextmanager
def whole_pools() -> Iterator[None]:
    """While it lasts, `torch.max_pool1d` is traced as one op."""
    _define()
    before = getattr(torch, _CALL)
    try:
        setattr(torch, _CALL, _whole)
        yield
    finally:
        setattr(torch, _CALL, before)


@functools.cache
def _define() -> None:
    """Declares the op, once a process."""
    torch.library.define(
        _OP, "(Tensor x, int[] kernel, int[] stride, int[] padding, int[] dilation, bool ceil_mode) -> Tensor"
    )
    torch.library.register_fake(_OP, _shape)


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
    rows = torch.nn.functional.max_pool2d(
        x.unsqueeze(-2), (1, *kernel), (1, *stride), (0, *padding), (1, *dilation), ceil_mode
    )
    return rows.squeeze(-2)
