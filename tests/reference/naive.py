"""What ops compute, written as loops over cells from their definitions, in plain numpy and math: no torch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
Pairs = tuple[tuple[int, int], ...]


def _cells(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    return itertools.product(*(range(size) for size in shape))


def _windows(
    size: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], pad: Pairs, dilation: tuple[int, ...]
) -> tuple[int, ...]:
    return tuple(
        (s + sum(p) - d * (k - 1) - 1) // t + 1
        for s, k, t, p, d in zip(size, kernel, stride, pad, dilation, strict=True)
    )


def conv(x: F64, w: F64, b: F64, stride: tuple[int, ...], pad: Pairs, dilation: tuple[int, ...], groups: int) -> F64:
    """x [N, C, *S], w [O, C/groups, *k]: y[n, o, p] = b[o] + Σ w[o, c, k] x[n, first + c, p*stride + k*dilation - pad]

    The sum runs over the channels c of o's group, the first of which is ``first``, and over the window's cells k.
    """
    outputs, per_group, *kernel = w.shape
    sizes = _windows(x.shape[2:], tuple(kernel), stride, pad, dilation)
    y = np.zeros((x.shape[0], outputs, *sizes))
    for n, o, *p in _cells(y.shape):
        total = b[o]
        first = o // (outputs // groups) * per_group
        for c, *k in _cells((per_group, *kernel)):
            at = [p[i] * stride[i] + k[i] * dilation[i] - pad[i][0] for i in range(len(p))]
            if all(0 <= a < s for a, s in zip(at, x.shape[2:], strict=True)):
                total += w[(o, c, *k)] * x[(n, first + c, *at)]
        y[(n, o, *p)] = total
    return y


def conv_transpose(
    x: F64, w: F64, b: F64, stride: tuple[int, ...], pad: Pairs, dilation: tuple[int, ...], groups: int
) -> F64:
    """x [N, C, *S], w [C, O/groups, *k]: every cell of x adds w times itself to y from p*stride - pad on"""
    channels, per_group, *kernel = w.shape
    sizes = tuple(
        (s - 1) * t + d * (k - 1) + 1 - sum(p)
        for s, k, t, p, d in zip(x.shape[2:], kernel, stride, pad, dilation, strict=True)
    )
    y = np.zeros((x.shape[0], per_group * groups, *sizes)) + b.reshape(-1, *[1] * len(kernel))
    for n, c, *p in _cells(x.shape):
        first = c // (channels // groups) * per_group
        for o, *k in _cells((per_group, *kernel)):
            at = [p[i] * stride[i] + k[i] * dilation[i] - pad[i][0] for i in range(len(p))]
            if all(0 <= a < s for a, s in zip(at, sizes, strict=True)):
                y[(n, first + o, *at)] += w[(c, o, *k)] * x[(n, c, *p)]
    return y


def pool(
    x: F64, kernel: tuple[int, ...], stride: tuple[int, ...], pad: Pairs, dilation: tuple[int, ...], kind: str
) -> F64:
    """kind: "max"; "mean" of the cells inside the image; "mean_padded" with padding as zeros"""
    y = np.zeros((*x.shape[:2], *_windows(x.shape[2:], kernel, stride, pad, dilation)))
    for n, c, *p in _cells(y.shape):
        inside = []
        for k in _cells(kernel):
            at = [p[i] * stride[i] + k[i] * dilation[i] - pad[i][0] for i in range(len(p))]
            if all(0 <= a < s for a, s in zip(at, x.shape[2:], strict=True)):
                inside.append(x[(n, c, *at)])
        count = math.prod(kernel) if kind == "mean_padded" else len(inside)
        y[(n, c, *p)] = max(inside) if kind == "max" else math.fsum(inside) / count
    return y


def batch_norm(x: F64, scale: F64, offset: F64, mean: F64, variance: F64, epsilon: float, axis: int) -> F64:
    y = np.zeros_like(x)
    for at in _cells(x.shape):
        c = at[axis]
        y[at] = (x[at] - mean[c]) / math.sqrt(variance[c] + epsilon) * scale[c] + offset[c]
    return y


def layer_norm(x: F64, scale: F64, offset: F64, axes: int, epsilon: float) -> F64:
    y = np.zeros_like(x)
    split = x.ndim - axes
    for at in _cells(x.shape[:split]):
        values = [x[at + rest] for rest in _cells(x.shape[split:])]
        mean = math.fsum(values) / len(values)
        variance = math.fsum((value - mean) ** 2 for value in values) / len(values)
        for rest in _cells(x.shape[split:]):
            y[at + rest] = (x[at + rest] - mean) / math.sqrt(variance + epsilon) * scale[rest] + offset[rest]
    return y


def resize(x: F64, size: tuple[int, ...], mode: str) -> F64:
    """mode: "nearest", "bilinear" (half-pixel centres) or "align_corners"; x [N, C, *S]"""
    y = np.zeros((*x.shape[:2], *size))
    for n, c, *p in _cells(y.shape):
        weighted = [_sources(at, given, wanted, mode) for at, given, wanted in zip(p, x.shape[2:], size, strict=True)]
        for corner in itertools.product(*weighted):
            weight = math.prod(part for _, part in corner)
            y[(n, c, *p)] += weight * x[(n, c, *(cell for cell, _ in corner))]
    return y


def _sources(at: int, given: int, wanted: int, mode: str) -> list[tuple[int, float]]:
    """The cells of an axis that make cell ``at`` of the resized one, with their weights."""
    if mode == "nearest":
        return [(at * given // wanted, 1.0)]
    if mode == "align_corners":
        position = at * (given - 1) / (wanted - 1) if wanted > 1 else 0.0
    else:
        position = min(max((at + 0.5) * given / wanted - 0.5, 0.0), given - 1.0)
    low = min(int(position), given - 1)
    return [(low, 1 - (position - low)), (min(low + 1, given - 1), position - low)]


def softmax(x: F64, axis: int) -> F64:
    moved = np.moveaxis(x, axis, -1)
    y = np.zeros_like(moved)
    for at in _cells(moved.shape[:-1]):
        powers = [math.exp(value - max(moved[at])) for value in moved[at]]
        y[at] = [power / math.fsum(powers) for power in powers]
    return np.moveaxis(y, -1, axis)


def pad(x: F64, before: tuple[int, ...], after: tuple[int, ...], value: float) -> F64:
    y = np.full([b + s + a for b, s, a in zip(before, x.shape, after, strict=True)], value)
    for at in _cells(x.shape):
        y[tuple(b + i for b, i in zip(before, at, strict=True))] = x[at]
    return y


def strided(
    x: F64, axes: tuple[int, ...], starts: tuple[int, ...], stops: tuple[int, ...], steps: tuple[int, ...]
) -> F64:
    kept = [list(range(size)) for size in x.shape]
    for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True):
        kept[axis] = [i for i in range(start, stop) if (i - start) % step == 0]
    y = np.zeros([len(cells) for cells in kept])
    for at in _cells(y.shape):
        y[at] = x[tuple(cells[i] for cells, i in zip(kept, at, strict=True))]
    return y


def gather(table: F64, indices: npt.NDArray[np.int64], axis: int) -> F64:
    y = np.zeros((*table.shape[:axis], *indices.shape, *table.shape[axis + 1 :]))
    for at in _cells(y.shape):
        index = int(indices[at[axis : axis + indices.ndim]])
        y[at] = table[(*at[:axis], index, *at[axis + indices.ndim :])]
    return y


def linear(x: F64, w: F64, b: F64) -> F64:
    y = np.zeros((*x.shape[:-1], w.shape[0]))
    for at in _cells(y.shape):
        y[at] = b[at[-1]] + math.fsum(x[at[:-1]] * w[at[-1]])
    return y


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


ACTIVATIONS: dict[str, Callable[[float], float]] = {
    "relu": lambda x: max(x, 0.0),
    "clamp": lambda x: min(max(x, -0.5), 1.25),
    "leaky_relu": lambda x: x if x > 0 else 0.3 * x,
    "elu": lambda x: x if x > 0 else 0.7 * math.expm1(x),
    "selu": lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)),
    "sigmoid": sigmoid,
    "hard_sigmoid": lambda x: min(max(x + 3, 0.0), 6.0) / 6,
    "hard_swish": lambda x: x * min(max(x + 3, 0.0), 6.0) / 6,
    "silu": lambda x: x * sigmoid(x),
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "gelu/approximate": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "tanh": math.tanh,
    "softplus": lambda x: math.log1p(math.exp(x)),
    "softsign": lambda x: x / (1 + abs(x)),
    "mish": lambda x: x * math.tanh(math.log1p(math.exp(x))),
    "exp": math.exp,
    "erf": math.erf,
    "neg": lambda x: -x,
    "abs": abs,
}
"""One number at a time, by the op's name (and its variant)."""
