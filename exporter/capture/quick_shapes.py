"""Short rules for the shapes of ops whose result is shaped like their input, while torch.export traces a module.

torch asks its decompositions, Python that computes the op step by step on tensors without numbers: with a free size
that takes 5 ms for a relu, and a fifth of the export of a ResNet. For a contiguous input of floats the answer is known
beforehand: contiguous, of the same shape and dtype. For every other one torch is asked as before.

torch has a table for this, with its own short rules for sums and products; where it has none, nothing is changed.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch._decomp import decomposition_table, meta_table
from torch._prims_common import is_contiguous_for_memory_format_or_false
from torch._subclasses import fake_impls
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

Rule = Callable[..., Any]
"""What torch calls: (mode, *arguments of the op) → tensors without numbers."""

LIKE_INPUT = (
    "relu",
    "hardtanh",
    "hardsigmoid",
    "hardswish",
    "leaky_relu",
    "elu",
    "gelu",
    "silu",
    "mish",
    "softplus",
    "sigmoid",
    "tanh",
    "exp",
    "log",
    "sqrt",
    "rsqrt",
    "abs",
    "neg",
    "erf",
)
"""Ops that compute each cell by itself, and give the dtype that they take."""

_NORM = "_native_batch_norm_legit_no_training"


@contextlib.contextmanager
def quick_shapes() -> Iterator[None]:
    """While it lasts, torch asks these rules first."""
    table = _table()
    added = {op: rule for op, rule in _rules().items() if op not in table}
    table.update(added)
    try:
        yield
    finally:
        for op in added:
            table.pop(op, None)


def _table() -> dict[Any, Rule]:
    rules: Callable[[], dict[Any, Rule]] = getattr(fake_impls, "get_fast_op_impls", dict)
    return rules()


@functools.cache
def _rules() -> Mapping[Any, Rule]:
    """{op: rule}, of the ops that torch would ask a decomposition for."""
    rules = dict.fromkeys(LIKE_INPUT, _like_input) | {_NORM: _normalised}
    ops = {getattr(torch.ops.aten, name).default: rule for name, rule in rules.items()}
    asked = [op for op in ops if op in decomposition_table and op not in meta_table]
    return {op: functools.partial(_answer, ops[op], decomposition_table[op]) for op in asked}


def _answer(rule: Rule, slow: Rule, mode: FakeTensorMode, x: FakeTensor, *rest: Any, **options: Any) -> Any:
    if x.dtype.is_floating_point and is_contiguous_for_memory_format_or_false(x, memory_format=torch.contiguous_format):
        known = rule(mode, x, *rest)
        if known is not None:
            return known
    with mode:
        return slow(x, *rest, **options)


def _like_input(mode: FakeTensorMode, x: FakeTensor, *_: object) -> FakeTensor:
    return FakeTensor(mode, torch.empty(x.shape, dtype=x.dtype, device="meta"), x.device)


def _normalised(mode: FakeTensorMode, x: FakeTensor, *rest: Any) -> tuple[FakeTensor, ...] | None:
    """The result, and the statistics of the batch, which are empty outside of training; None where torch would learn
    something from the number of channels."""
    channels = [x.shape[1], *(size for tensor in rest[:4] if tensor is not None for size in tensor.shape)]
    if x.device.type != "cpu" or any(isinstance(size, torch.SymInt) for size in channels) or len(set(channels)) > 1:
        return None
    none = (FakeTensor(mode, torch.empty(0, dtype=x.dtype, device="meta"), x.device) for _ in range(2))
    return _like_input(mode, x), *none
