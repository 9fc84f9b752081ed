"""Arithmetic cell by cell in torch."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..graph import DType
from ..ops import (
    Abs,
    Acos,
    Acosh,
    Add,
    Asin,
    Asinh,
    Atan,
    Atan2,
    Atanh,
    BinaryOp,
    Cast,
    Ceil,
    Cos,
    Cosh,
    Div,
    Erf,
    Exp,
    Expm1,
    Floor,
    FloorDivide,
    Fmod,
    Identity,
    Log,
    Log1p,
    Maximum,
    Minimum,
    Mul,
    Neg,
    OpAttrs,
    Pow,
    Remainder,
    Round,
    Rsqrt,
    Sign,
    Sin,
    Sinh,
    Sqrt,
    Sub,
    Tan,
    Trunc,
    UnaryOp,
)
from .activation import apply_activation
from .registry import Sizes, computes


def _sqrt(x: torch.Tensor) -> torch.Tensor:
    """IEEE's root, as the runtimes have it; torch's own of float32 is at times one unit in the last place beside it."""
    return torch.sqrt(x.to(torch.float64)).to(x.dtype)


_UNARY: dict[type[OpAttrs], Callable[[torch.Tensor], torch.Tensor]] = {
    Exp: torch.exp,
    Log: torch.log,
    Sqrt: _sqrt,
    Rsqrt: torch.rsqrt,
    Neg: torch.neg,
    Abs: torch.abs,
    Erf: torch.erf,
    Identity: torch.clone,
    Floor: torch.floor,
    Ceil: torch.ceil,
    Round: torch.round,
    Trunc: torch.trunc,
    Sign: torch.sign,
    Sin: torch.sin,
    Cos: torch.cos,
    Tan: torch.tan,
    Asin: torch.asin,
    Acos: torch.acos,
    Atan: torch.atan,
    Sinh: torch.sinh,
    Cosh: torch.cosh,
    Asinh: torch.asinh,
    Acosh: torch.acosh,
    Atanh: torch.atanh,
    Expm1: torch.expm1,
    Log1p: torch.log1p,
}
_BINARY: dict[type[OpAttrs], Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    Add: torch.add,
    Sub: torch.sub,
    Mul: torch.mul,
    Div: lambda a, b: torch.div(a, b, rounding_mode=None if a.dtype.is_floating_point else "trunc"),
    Maximum: torch.maximum,
    Minimum: torch.minimum,
    Pow: torch.pow,
    Remainder: torch.remainder,
    Fmod: torch.fmod,
    FloorDivide: torch.floor_divide,
    Atan2: torch.atan2,
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
