"""ATen matrix products."""

from __future__ import annotations

from ..graph import Value
from ..ops import Add, Linear, MatMul
from .context import Context
from .registry import captures


@captures("linear")
def linear(context: Context, x: Value, weight: Value, bias: Value | None) -> Value:
    return context.add(Linear(), *((x, weight) if bias is None else (x, weight, bias)))


@captures("matmul", "mm", "bmm")
def matmul(context: Context, a: Value, b: Value) -> Value:
    if a.type.rank < 2 or b.type.rank < 2:
        raise context.error("TP202", "matmul with a vector has no meaning here", "give the vector a second axis")
    return context.add(MatMul(), a, b)


@captures("addmm")
def addmm(context: Context, bias: Value, a: Value, b: Value, beta: float, alpha: float) -> Value:
    if beta != 1 or alpha != 1:
        raise context.error("TP202", "addmm with beta or alpha other than 1", "multiply explicitly")
    return context.add(Add(), context.add(MatMul(), a, b), bias)
