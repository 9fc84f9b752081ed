"""ATen matrix products, in all the ranks that torch takes."""

from __future__ import annotations

import numpy as np

from ..graph import Shape, Value
from ..graph.dims import product
from ..ops import Add, Linear, MatMul, Mul, ReduceSum, Reshape, Transpose
from .context import Context
from .registry import captures


@captures("linear")
def linear(context: Context, x: Value, weight: Value, bias: Value | None) -> Value:
    if weight.type.rank == 1:
        return shifted(context, matmul(context, x, weight), bias)
    if bias is not None and bias.type.rank != 1:
        return shifted(context, context.add(Linear(), x, weight), bias)
    return context.add(Linear(), *((x, weight) if bias is None else (x, weight, bias)))


@captures("matmul", "mm", "bmm", "mv", "dot", "vdot", "linalg_matmul")
def matmul(context: Context, a: Value, b: Value) -> Value:
    """A vector on the left is one row, on the right one column; that axis goes again afterwards."""
    if a.type.rank == b.type.rank == 1:
        return context.add(ReduceSum((0,), False), context.add(Mul(), a, b))
    left = reshaped(context, a, (1, a.type.shape[0])) if a.type.rank == 1 else a
    right = reshaped(context, b, (b.type.shape[0], 1)) if b.type.rank == 1 else b
    y = _matrices(context, left, right)
    *leading, rows, columns = y.type.shape
    kept = [rows] * (a.type.rank > 1) + [columns] * (b.type.rank > 1)
    return reshaped(context, y, (*leading, *kept))


def _matrices(context: Context, a: Value, b: Value) -> Value:
    """A product with a constant matrix is a linear layer, whose weight ports pack beforehand."""
    if b.type.rank == 2 and not a.is_constant and a.type.dtype.is_float:
        turned = b.producer
        if turned is not None and isinstance(turned.op, Transpose) and turned.inputs[0].is_constant:
            return context.add(Linear(), a, turned.inputs[0])
        if b.is_constant:
            weight = context.constant(np.ascontiguousarray(b.array().T), b.name)
            return context.add(Linear(), a, weight)
    return context.add(MatMul(), a, b)


@captures("addmm", "addmv", "baddbmm")
def add_product(context: Context, shift: Value, a: Value, b: Value, beta: float, alpha: float) -> Value:
    """beta * shift + alpha * a @ b; with a beta of 0 the shift is not even looked at."""
    return _weighed(context, shift, matmul(context, a, b), beta, alpha)


@captures("addbmm")
def add_sum_of_products(context: Context, shift: Value, a: Value, b: Value, beta: float, alpha: float) -> Value:
    """The matrices of the batch side by side are one matrix: their products are summed by its own inner axis."""
    batch, rows, inner = a.type.shape
    joined = reshaped(context, context.add(Transpose((1, 0, 2)), a), (rows, batch * inner))
    columns = reshaped(context, b, (batch * inner, b.type.shape[2]))
    return _weighed(context, shift, context.add(MatMul(), joined, columns), beta, alpha)


@captures("outer", "ger")
def outer(context: Context, a: Value, b: Value) -> Value:
    dtype = context.result_dtype()
    column = reshaped(context, context.cast(a, dtype), (a.type.shape[0], 1))
    return context.add(Mul(), column, context.cast(b, dtype))


@captures("addr")
def add_outer(context: Context, shift: Value, a: Value, b: Value, beta: float, alpha: float) -> Value:
    return _weighed(context, shift, outer(context, a, b), beta, alpha)


@captures("inner")
def inner(context: Context, a: Value, b: Value) -> Value:
    """Sums over the last axes of both."""
    if a.type.rank == 0 or b.type.rank == 0:
        return context.add(Mul(), a, b)
    if a.type.rank == b.type.rank == 1:
        return matmul(context, a, b)
    depth = a.type.shape[-1]
    left = reshaped(context, a, (product(a.type.shape[:-1]), depth))
    right = reshaped(context, b, (product(b.type.shape[:-1]), depth))
    y = _matrices(context, left, context.add(Transpose((1, 0)), right))
    return reshaped(context, y, (*a.type.shape[:-1], *b.type.shape[:-1]))


@captures("chain_matmul", "linalg_multi_dot")
def chain(context: Context, matrices: list[Value]) -> Value:
    y = matrices[0]
    for matrix in matrices[1:]:
        y = matmul(context, y, matrix)
    return y


@captures("linalg_vecdot")
def vecdot(context: Context, a: Value, b: Value, axis: int) -> Value:
    products = context.add(Mul(), a, b)
    return context.add(ReduceSum((axis % products.type.rank,), False), products)


@captures("kron")
def kron(context: Context, a: Value, b: Value) -> Value:
    """Every cell of a times the whole of b, blocks side by side."""
    rank = max(a.type.rank, b.type.rank)
    ones = [(1,) * (rank - value.type.rank) + value.type.shape for value in (a, b)]
    of_a = tuple(size for pair in zip(ones[0], (1,) * rank, strict=True) for size in pair)
    of_b = tuple(size for pair in zip((1,) * rank, ones[1], strict=True) for size in pair)
    dtype = context.result_dtype()
    left, right = (context.cast(value, dtype) for value in (a, b))
    blocks = context.add(Mul(), reshaped(context, left, of_a), reshaped(context, right, of_b))
    return reshaped(context, blocks, context.result_shape())


@captures("bilinear")
def bilinear(context: Context, a: Value, b: Value, weight: Value, bias: Value | None) -> Value:
    """A linear layer on all products of a cell of a [..., I] and one of b [..., J]; weight [O, I, J]."""
    rows, columns = a.type.shape[-1], b.type.shape[-1]
    leading = a.type.shape[:-1]
    tall = reshaped(context, a, (*leading, rows, 1))
    wide = reshaped(context, b, (*leading, 1, columns))
    pairs = reshaped(context, context.add(Mul(), tall, wide), (*leading, rows * columns))
    flat = reshaped(context, weight, (weight.type.shape[0], rows * columns))
    return linear(context, pairs, flat, bias)


def _weighed(context: Context, shift: Value, y: Value, beta: float, alpha: float) -> Value:
    y = scaled(context, y, alpha)
    return y if beta == 0 else shifted(context, y, scaled(context, shift, beta))


def shifted(context: Context, y: Value, shift: Value | None) -> Value:
    return y if shift is None else context.add(Add(), y, shift)


def scaled(context: Context, x: Value, factor: float) -> Value:
    return x if factor == 1 else context.add(Mul(), x, context.scalar(factor, x.type.dtype))


def reshaped(context: Context, x: Value, shape: Shape) -> Value:
    """x under another shape; constants are reshaped here."""
    if x.type.shape == shape:
        return x
    if x.is_constant:
        return context.constant(x.array().reshape(x.type.with_shape(shape).static_shape()), x.name)
    return context.add(Reshape(shape), x)
