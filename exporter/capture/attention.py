"""ATen attention, and torch's own layers that are built on it, as products and a softmax.

    softmax(q kᵀ * scale + mask) v

Grouped heads need no copies of keys and values: the queries that share a head stand one below the other as one matrix.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch.nn.modules import transformer

from ..graph import Dim, Sym, Value
from ..ops import Add, GreaterEqual, Iota, LessEqual, MatMul, Maximum, ReduceMax, Softmax, Transpose, Where
from .context import Context
from .linear import reshaped, scaled
from .registry import captures

MASKED = -1e30
"""In the place of -inf: a row of these alone has a softmax, and next to any score it weighs exactly 0."""


@contextlib.contextmanager
def plain_transformers() -> Iterator[None]:
    """While it lasts, torch's transformer layers compute step by step, and no mask is looked at to see if it is causal.

    Their fused form is an op of its own that exists for inference in torch alone, and looking into a mask is control
    flow that depends on data.
    """
    detect = transformer._detect_is_causal_mask
    try:
        transformer._detect_is_causal_mask = _as_told
        with step_by_step():
            yield
    finally:
        transformer._detect_is_causal_mask = detect


@contextlib.contextmanager
def step_by_step() -> Iterator[None]:
    """While it lasts, torch's transformer layers are not fused.

    The answers are the same but where `src_key_padding_mask` pads: fused encoders skip these places and answer 0.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _as_told(mask: torch.Tensor | None, is_causal: bool | None = None, size: int | None = None) -> bool:
    return is_causal is True


@captures("scaled_dot_product_attention")
def attention(
    context: Context,
    query: Value,
    key: Value,
    value: Value,
    mask: Value | None,
    dropout: float,
    causal: bool,
    scale: float | None,
    grouped: bool,
) -> Value:
    """query [..., L, E], key [..., S, E], value [..., S, V]; a bool mask is true where a query may look."""
    if dropout > 0:
        raise context.error(
            "TP202",
            "attention drops cells at random in eval mode, so every call answers otherwise",
            "pass dropout_p=self.dropout if self.training else 0.0",
        )
    width = context.static(query.type.shape[-1], "the width of a head")
    *heads, length, _ = query.type.shape
    merged = tuple(heads)
    if grouped and query.type.rank > 2 and query.type.shape[-3] != key.type.shape[-3]:
        shared = context.static(key.type.shape[-3], "the number of heads of the keys")
        group = context.static(query.type.shape[-3], "the number of heads") // shared
        merged = (*heads[:-1], shared)
        query = reshaped(context, query, (*merged, group * length, width))
    query = scaled(context, query, 1 / math.sqrt(width) if scale is None else scale)
    scores = context.add(MatMul(), query, _turned(context, key))
    if merged != tuple(heads):
        scores = reshaped(context, scores, (*heads, length, scores.type.shape[-1]))
    looks: Value | None = None  # a causal mask lets every query look at the first key
    if causal:
        weights = _masked_softmax(context, scores, _causal_mask(context, length, scores.type.shape[-1]))
    else:
        weights, looks = _weights(context, scores, mask)
    if merged != tuple(heads):
        weights = reshaped(context, weights, (*merged, query.type.shape[-2], weights.type.shape[-1]))
    y = context.add(MatMul(), weights, value)
    y = reshaped(context, y, (*y.type.shape[: -len(heads) - 2], *heads, length, y.type.shape[-1])) if heads else y
    return y if looks is None else context.add(Where(), looks, y, context.scalar(0.0, y.type.dtype))


def _weights(context: Context, scores: Value, mask: Value | None) -> tuple[Value, Value | None]:
    """The softmax, and which rows look at anything: torch answers 0 for the others; None when all do."""
    softmax = Softmax(scores.type.rank - 1)
    if mask is None:
        return context.add(softmax, scores), None
    dtype = scores.type.dtype
    if mask.type.dtype.is_float:
        lowest = context.scalar(MASKED, dtype)
        if mask.is_constant:
            looks = mask.array().max(axis=-1, keepdims=True) > -np.inf
            given = context.constant(np.maximum(mask.array(), np.asarray(MASKED, dtype.numpy)), mask.name)
            weights = context.add(softmax, context.add(Add(), scores, given))
            return weights, None if looks.all() else context.constant(looks)
        weights = context.add(softmax, context.add(Add(), scores, context.add(Maximum(), mask, lowest)))
        highest = context.add(ReduceMax((mask.type.rank - 1,), True), mask)
        return weights, context.add(GreaterEqual(), highest, lowest)
    weights = _masked_softmax(context, scores, mask)
    if mask.is_constant:
        looks = np.asarray(mask.array().any(axis=-1, keepdims=True))
        return weights, None if looks.all() else context.constant(looks)
    seen = context.add(ReduceMax((mask.type.rank - 1,), True), context.cast(mask, dtype))
    return weights, context.add(GreaterEqual(), seen, context.scalar(0.5, dtype))


def _masked_softmax(context: Context, scores: Value, mask: Value) -> Value:
    masked = context.add(Where(), mask, scores, context.scalar(MASKED, scores.type.dtype))
    return context.add(Softmax(scores.type.rank - 1), masked)


def _causal_mask(context: Context, length: Dim, keys: Dim) -> Value:
    """True where a key stands no later than the query: as torch has it, both count from the front."""
    if not isinstance(length, Sym) and not isinstance(keys, Sym):
        return context.constant(np.tri(length, keys, dtype=np.bool_), "causal")
    rows = reshaped(context, context.add(Iota(length)), (length, 1))
    return context.add(LessEqual(), reshaped(context, context.add(Iota(keys)), (1, keys)), rows)


def _turned(context: Context, key: Value) -> Value:
    """The last two axes swapped; right behind another transpose the two become one."""
    perm: list[int] = list(range(key.type.rank))
    perm[-2:] = perm[-1], perm[-2]
    return context.add(Transpose(tuple(perm)), key)
