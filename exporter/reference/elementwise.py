"""Arithmetic cell by cell in torch."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..graph import DType
from ..ops import (
    Abs,
    Add,
    BinaryOp,
    Cast,
    Div,
    Erf,
    Exp,
    Identity,
    Log,
    Maximum,
    Minimum,
    Mul,
    Neg,
    OpAttrs,
    Pow,
    Rsqrt,
    Sqrt,
    Sub,
    UnaryOp,
)
from .activation import apply_activation
from .registry import Sizes, computes

_UNARY: dict[type[OpAttrs], Callable[[torch.Tensor], torch.Tensor]] = {
    Exp: torch.exp,
    Log: torch.log,
    Sqrt: torch.sqrt,
    Rsqrt: torch.rsqrt,
    Neg: torch.neg,
    Abs: torch.abs,
    Erf: torch.erf,
    Identity: torch.clone,
}
_BINARY: dict[type[OpAttrs], Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    Add: torch.add,
    Sub: torch.sub,
    Mul: torch.mul,
    Div: torch.div,
    Maximum: torch.maximum,
    Minimum: torch.minimum,
    Pow: torch.pow,
}
_FUSING = (Add, Sub, Mul, Div)


def torch_dtype(dtype: DType) -> torch.dtype:
    """torch's name of a graph dtype."""
    found = getattr(torch, dtype.value)
    assert isinstance(found, torch.dtype)
    return found


@computes(*_UNARY)
def unary(op: UnaryOp, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return _UNARY[type(op)](x)


@computes(*_BINARY)
def binary(op: BinaryOp, a: torch.Tensor, b: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    y = _BINARY[type(op)](a, b)
    return apply_activation(op.activation, y) if isinstance(op, _FUSING) else y


@computes(Cast)
def cast(op: Cast, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return x.to(torch_dtype(op.dtype))
