"""Comparisons, logic and choice in torch."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..ops import (
    BinaryOp,
    BitwiseAnd,
    BitwiseOr,
    BitwiseXor,
    Equal,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    LogicalAnd,
    LogicalNot,
    LogicalOr,
    LogicalXor,
    NotEqual,
    OpAttrs,
    Where,
)
from .registry import Sizes, computes

_BINARY: dict[type[OpAttrs], Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    Equal: torch.eq,
    NotEqual: torch.ne,
    Less: torch.lt,
    LessEqual: torch.le,
    Greater: torch.gt,
    GreaterEqual: torch.ge,
    LogicalAnd: torch.logical_and,
    LogicalOr: torch.logical_or,
    LogicalXor: torch.logical_xor,
    BitwiseAnd: torch.bitwise_and,
    BitwiseOr: torch.bitwise_or,
    BitwiseXor: torch.bitwise_xor,
}


@computes(*_BINARY)
def binary(op: BinaryOp, a: torch.Tensor, b: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return _BINARY[type(op)](a, b)


@computes(LogicalNot)
def logical_not(op: LogicalNot, x: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return torch.logical_not(x)


@computes(Where)
def where(op: Where, condition: torch.Tensor, a: torch.Tensor, b: torch.Tensor, *, sizes: Sizes) -> torch.Tensor:
    return torch.where(condition, a, b)
