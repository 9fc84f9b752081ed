"""Computes, with numpy, nodes whose operands are all constants.

before:  %1 = transpose(const)    %2 = linear(%x, %1)
after:   %2 = linear(%x, const')

Ops that numpy computes to the same bits on every machine are folded; the rest run where the model runs. Sums, means and
roots are computed in float64 and rounded once, which no port does better: weights that a model standardises or
normalises whenever it runs are constants in the files. A result without cells is known whatever the operands are, and
kernels that refuse to compute one are never asked. A choice that is the same for every cell is none:

before:  %1 = where(const all true, %x, 0.0)
after:   %x
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..graph import Array, Graph, Node, Value
from ..ops import (
    Abs,
    Add,
    Cast,
    Clamp,
    Concat,
    Div,
    Equal,
    Expand,
    Gather,
    Greater,
    GreaterEqual,
    Identity,
    Less,
    LessEqual,
    LogicalNot,
    Maximum,
    Minimum,
    Mul,
    Neg,
    NotEqual,
    OpAttrs,
    Pad,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceOp,
    ReduceSum,
    Reshape,
    Reverse,
    Rsqrt,
    Slice,
    Sqrt,
    Sub,
    TakeAlong,
    Transpose,
    Where,
)
from ..ops.base import Activation

Fold = Callable[..., Array]


def _arithmetic(function: Callable[[Any, Any], Any]) -> Fold:
    def fold(op: Any, a: Array, b: Array) -> Array:
        y = np.asarray(function(a, b), dtype=a.dtype)
        activation = getattr(op, "activation", Activation.NONE)
        if activation is not Activation.NONE:
            y = np.clip(y, 0, None if activation is Activation.RELU else 6)
        return y

    return fold


def _slice(op: Slice, x: Array) -> Array:
    index: list[slice] = [slice(None)] * x.ndim
    for axis, start, stop, step in zip(op.axes, op.starts, op.stops, op.steps, strict=True):
        assert isinstance(start, int) and isinstance(stop, int), "a constant has no free dims"
        index[axis] = slice(start, stop, step)
    return x[tuple(index)]


def _reshape(op: Reshape, x: Array) -> Array:
    return x.reshape([int(dim) for dim in op.shape if isinstance(dim, int)])


def _expand(op: Expand, x: Array) -> Array:
    return np.broadcast_to(x, [int(dim) for dim in op.shape if isinstance(dim, int)]).copy()


def _sum(op: ReduceOp, x: Array) -> Array:
    """In float64 for floats, one slice after the other, so that the order of the additions is the same everywhere."""
    moved = np.moveaxis(x, op.axes, range(len(op.axes)))
    slices = moved.reshape(-1, *moved.shape[len(op.axes) :])
    total = np.add.reduce(slices, axis=0, dtype=np.float64 if x.dtype.kind == "f" else x.dtype)
    return np.asarray(np.expand_dims(total, op.axes) if op.keepdims else total)


def _mean(op: ReduceMean, x: Array) -> Array:
    count = math.prod(x.shape[axis] for axis in op.axes)
    return np.asarray(np.true_divide(_sum(op, x), count), dtype=x.dtype)


def _rsqrt(op: Rsqrt, x: Array) -> Array:
    return np.asarray(1 / np.sqrt(x.astype(np.float64)), dtype=x.dtype)


def _where(op: Where, condition: Array, a: Array, b: Array) -> Array:
    return np.asarray(np.where(condition, a, b), dtype=a.dtype)


_FOLDS: dict[type[OpAttrs], Fold] = {
    Add: _arithmetic(np.add),
    Sub: _arithmetic(np.subtract),
    Mul: _arithmetic(np.multiply),
    Div: _arithmetic(np.true_divide),
    Maximum: _arithmetic(np.maximum),
    Minimum: _arithmetic(np.minimum),
    Neg: lambda op, x: np.negative(x),
    Abs: lambda op, x: np.abs(x),
    Sqrt: lambda op, x: np.sqrt(x),
    Rsqrt: _rsqrt,
    Clamp: lambda op, x: np.clip(x, op.minimum, op.maximum).astype(x.dtype),
    ReduceSum: lambda op, x: _sum(op, x).astype(x.dtype),
    ReduceMean: _mean,
    ReduceMax: lambda op, x: np.max(x, axis=op.axes, keepdims=op.keepdims),
    ReduceMin: lambda op, x: np.min(x, axis=op.axes, keepdims=op.keepdims),
    Equal: lambda op, a, b: np.equal(a, b),
    NotEqual: lambda op, a, b: np.not_equal(a, b),
    Less: lambda op, a, b: np.less(a, b),
    LessEqual: lambda op, a, b: np.less_equal(a, b),
    Greater: lambda op, a, b: np.greater(a, b),
    GreaterEqual: lambda op, a, b: np.greater_equal(a, b),
    LogicalNot: lambda op, x: np.logical_not(x),
    Where: _where,
    Identity: lambda op, x: x,
    Cast: lambda op, x: x.astype(op.dtype.numpy),
    Transpose: lambda op, x: np.ascontiguousarray(x.transpose(op.perm)),
    Reshape: _reshape,
    Expand: _expand,
    Reverse: lambda op, x: np.flip(x, op.axes),
    Slice: _slice,
    Concat: lambda op, *xs: np.concatenate(xs, axis=op.axis),
    Pad: lambda op, x: np.pad(x, list(zip(op.before, op.after, strict=True)), constant_values=op.value),
    Gather: lambda op, table, indices: np.take(table, indices, axis=op.axis),
    TakeAlong: lambda op, x, indices: np.take_along_axis(x, indices, op.axis),
}


def fold_constants(graph: Graph) -> bool:
    """True when something was folded."""
    changed = False
    for node in graph.nodes:
        if all(0 in value.type.shape and not value.type.free_names for value in node.outputs):
            for value in node.outputs:
                empty = np.zeros(value.type.static_shape(), value.type.dtype.numpy)
                graph.replace(value, graph.add_constant(empty, quantization=value.quantization))
            graph.remove(node)
            changed = True
        elif _foldable(node):
            # Overflow, 1 / 0 and NaN are answers here: the model gives them too, and numpy would warn of them.
            with np.errstate(all="ignore"):
                array = _FOLDS[type(node.op)](node.op, *(value.array() for value in node.inputs))
            graph.replace(node.output, graph.add_constant(array, node.name, node.output.quantization))
            graph.remove(node)
            changed = True
        elif (chosen := _chosen(node)) is not None:
            graph.replace(node.output, chosen)
            graph.remove(node)
            changed = True
    return changed


def _chosen(node: Node) -> Value | None:
    """The operand that a choice takes for every cell; None where it depends, or where the other one widens it."""
    if not isinstance(node.op, Where) or not node.inputs[0].is_constant:
        return None
    condition, *operands = node.inputs
    for choice, value in zip((True, False), operands, strict=True):
        if np.all(condition.array() == choice) and value.type == node.output.type:
            return value
    return None


def _foldable(node: Node) -> bool:
    constant = bool(node.inputs) and all(value.is_constant for value in node.inputs)
    known = constant and type(node.op) in _FOLDS and not node.output.type.free_names
    return known and (not isinstance(node.op, ReduceMax | ReduceMin) or node.inputs[0].array().size > 0)
