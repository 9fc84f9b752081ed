"""Attention: of several heads, and the two older forms without projections."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import initializers, regularizers
from ..structure import Shape, format_shape, is_shape
from . import masks
from .arguments import BaseArguments
from .dropout import RandomLayer
from .windows import sizes


def causal_mask(length: Any, keys: Any, device: torch.device) -> Tensor:
    """[length, keys]: true where a key stands no later than the query, both counted from the front."""
    return torch.arange(length, device=device).unsqueeze(1) >= torch.arange(keys, device=device)


class MultiHeadAttention(RandomLayer):
    """Attention of several heads (Vaswani et al. 2017).

    query  [batch, T, dim], value [batch, S, dim], key [batch, S, dim] (the value where left out)
    →  [batch, T, dim of the query, or ``output_shape``]; with ``return_attention_scores`` a list of that and the
    weights [batch, heads, T, S]

    ``attention_mask`` [batch, T, S] (or [T, S], or [batch, heads, T, S]) is true where a query may look;
    ``use_causal_mask`` lets it look at nothing behind itself. The masks of ``value`` and ``key`` that travel with
    them (``Embedding(mask_zero=True)``) count too.
    Weights: query, key [heads·key_dim, dim], value [heads·value_dim, dim], output [out, heads·value_dim]; in Keras's
    layout [dim, heads, key_dim] and [heads, value_dim, out].
    """

    supports_masking = True
    weight_order = tuple(
        f"{part}_{kind}" for part in ("query", "key", "value", "output") for kind in ("weight", "bias")
    )

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: Sequence[int] | int | None = None,
        kernel_initializer: str | initializers.Initializer = "glorot_uniform",
        bias_initializer: str | initializers.Initializer = "zeros",
        kernel_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        seed: int | None = None,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(**base)
        self.num_heads, self.key_dim = sizes((num_heads, key_dim), 2, "num_heads and key_dim")
        self.value_dim = self.key_dim if value_dim is None else sizes(value_dim, 1, "value_dim")[0]
        if not 0 <= dropout < 1:
            self._refuse(f"dropout has to lie in [0, 1); received {dropout}", code="TP010")
        if attention_axes not in (None, 1, (1,), [1], -2, (-2,), [-2]):
            self._refuse(f"attends over axis 1, the steps; received attention_axes={attention_axes}", code="TP010")
        self.dropout, self.use_bias, self.seed, self.attention_axes = dropout, use_bias, seed, attention_axes
        self.output_size = None if output_shape is None else sizes(output_shape, 1, "output_shape")[0]
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        for name in self.weight_order:
            self.register_parameter(name, None)

    query_weight: Tensor
    key_weight: Tensor
    value_weight: Tensor
    output_weight: Tensor

    def config_value(self, argument: str) -> Any:
        return self.output_size if argument == "output_shape" else super().config_value(argument)

    # -- weights ------------------------------------------------------------------------------------------------

    def call_shapes(self, shapes: Any, arguments: Mapping[str, Any]) -> Any:
        """[query's, value's, key's]"""
        value = arguments.get("value")
        if not is_shape(shapes) or not is_shape(value):
            self._refuse("is called on a query and a value: layer(query, value)", code="TP010")
        return [shapes, value, arguments.get("key", value)]

    def check_input(self, input_shape: Any) -> None:
        if is_shape(input_shape):
            self._refuse("is called on a query and a value: layer(query, value)", code="TP010")
        value, key = input_shape[1], input_shape[-1]
        for what, shape in zip(("query", "value", "key"), input_shape, strict=False):
            if len(shape) != 3 or shape[-1] is None:
                self._refuse(f"expects a {what} [batch, steps, features], received {format_shape(shape)}")
            if self.built and shape[-1] != getattr(self, f"{what}_weight").shape[1]:
                built = getattr(self, f"{what}_weight").shape[1]
                self._refuse(f"was built for a {what} of {built} features, received {shape[-1]}")
        if None not in (value[1], key[1]) and value[1] != key[1]:
            self._refuse(f"needs a value for each key, received {format_shape(value)} and {format_shape(key)}")

    def build(self, input_shape: Sequence[Shape]) -> None:
        shapes = {"query": input_shape[0], "key": input_shape[-1], "value": input_shape[1]}
        heads = self.num_heads
        for part, shape in shapes.items():
            width = self.value_dim if part == "value" else self.key_dim
            features = shape[-1]
            assert features is not None
            self.add_weight((features, heads, width), self.kernel_initializer, name=f"{part}_weight")
            if self.use_bias:
                self.add_weight((heads, width), self.bias_initializer, name=f"{part}_bias")
        size = self.output_size or input_shape[0][-1]
        assert size is not None
        self.add_weight((heads, self.value_dim, size), self.kernel_initializer, name="output_weight")
        if self.use_bias:
            self.add_weight((size,), self.bias_initializer, name="output_bias")

    def to_keras(self, name: str, value: Tensor) -> Tensor:
        if name == "output_weight":
            return value.t().reshape(self.num_heads, self.value_dim, -1)
        if name == "output_bias":
            return value
        heads = (self.num_heads, -1)
        return (
            value.t().reshape(-1, self.num_heads, value.shape[0] // self.num_heads)
            if value.ndim == 2
            else value.reshape(heads)
        )

    def from_keras(self, name: str, value: Tensor) -> Tensor:
        if name == "output_weight":
            return value.flatten(0, 1).t()
        return value.flatten(1).t() if value.ndim == 3 else value.flatten()

    def penalties(self) -> Iterator[tuple[regularizers.Regularizer, Tensor]]:
        for name, weight in self.named_parameters(recurse=False):
            regularizer = self.kernel_regularizer if name.endswith("weight") else self.bias_regularizer
            if regularizer is not None:
                yield regularizer, weight

    # -- calling ------------------------------------------------------------------------------------------------

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        query = input_shape[0]
        return (*query[:-1], self.output_size or query[-1])

    def call_output_shape(self, shapes: Any, arguments: Mapping[str, Any]) -> Any:
        y = self.compute_output_shape(shapes)
        if not arguments.get("return_attention_scores"):
            return y
        return [y, (y[0], self.num_heads, y[1], shapes[1][1])]

    def forward(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        q = self._heads(query, "query")
        k = self._heads(value if key is None else key, "key")
        v = self._heads(value, "value")
        mask = None if attention_mask is None else _four_axes(attention_mask != 0)
        for travelling in dict.fromkeys((masks.of(value), masks.of(value if key is None else key))):
            if travelling is not None:
                looks = travelling[:, None, None, :]
                mask = looks if mask is None else mask & looks
        drops = self.training and self.dropout > 0
        if return_attention_scores or (drops and self.seed is not None):
            y, scores = self._step_by_step(q, k, v, mask, use_causal_mask)
        else:
            if use_causal_mask and mask is not None:
                mask = mask & causal_mask(q.shape[2], k.shape[2], q.device)
            is_causal = use_causal_mask and mask is None
            rate = self.dropout if drops else 0.0
            y, scores = F.scaled_dot_product_attention(q, k, v, mask, rate, is_causal, scale=self._scale), None
        y = F.linear(y.transpose(1, 2).flatten(2), self.output_weight, self._bias("output"))
        return y if scores is None else [y, scores]

    def _bias(self, part: str) -> Tensor | None:
        bias = getattr(self, f"{part}_bias")
        assert bias is None or isinstance(bias, Tensor)
        return bias

    def _heads(self, x: Tensor, part: str) -> Tensor:
        """[batch, steps, features] → [batch, heads, steps, width]"""
        projected = F.linear(x, getattr(self, f"{part}_weight"), self._bias(part))
        return projected.reshape(*x.shape[:2], self.num_heads, -1).transpose(1, 2)

    @property
    def _scale(self) -> float:
        return 1.0 / math.sqrt(self.key_dim)

    def _step_by_step(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool
    ) -> tuple[Tensor, Tensor | None]:
        """(outputs, weights before dropout), which torch's fused form does not give."""
        scores = torch.matmul(q * self._scale, k.transpose(2, 3))
        if causal:
            looks = causal_mask(q.shape[2], k.shape[2], q.device)
            mask = looks if mask is None else mask & looks
        weights = F.softmax(scores if mask is None else scores.masked_fill(~mask, LOW), dim=-1)
        kept = weights
        if self.training and self.dropout > 0:
            kept = weights * self.choice(weights.shape, self.dropout, self.seed, weights)
        return torch.matmul(kept, v), weights


LOW = -1e9
"""What a score is where a query may not look: next to any other it weighs exactly 0."""


def _four_axes(mask: Tensor) -> Tensor:
    """[T, S], [batch, T, S] or [batch, heads, T, S] as something that fits [batch, heads, T, S]."""
    return mask.unsqueeze(1) if mask.ndim == 3 else mask


class _ListAttention(RandomLayer):
    """Attention without projections, called on a list: [query, value] or [query, value, key].

    query  [batch, T, dim], value [batch, S, width], key [batch, S, dim]  →  [batch, T, width];
    with ``return_attention_scores`` a list of that and the weights [batch, T, S]

    ``mask`` in the call is a list: the query's [batch, T], where the output is zero, and the value's [batch, S], where
    no query looks.
    """

    dropout: float
    seed: int | None

    def _set_dropout(self, dropout: float, seed: int | None) -> None:
        if not 0 <= dropout < 1:
            self._refuse(f"dropout has to lie in [0, 1); received {dropout}", code="TP010")
        self.dropout, self.seed = dropout, seed

    def check_input(self, input_shape: Any) -> None:
        if is_shape(input_shape) or len(input_shape) not in (2, 3):
            self._refuse("is called on a list: [query, value] or [query, value, key]", code="TP010")
        for shape in input_shape:
            if len(shape) != 3 or shape[-1] is None:
                self._refuse(f"expects sequences [batch, steps, features], received {format_shape(shape)}")
        query, key = input_shape[0], input_shape[-1]
        if query[-1] != key[-1]:
            self._refuse(f"compares {format_shape(query)} with {format_shape(key)}: features differ")

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        return (*input_shape[0][:2], input_shape[1][-1])

    def call_output_shape(self, shapes: Any, arguments: Mapping[str, Any]) -> Any:
        y = self.compute_output_shape(shapes)
        return [y, (*y[:2], shapes[1][1])] if arguments.get("return_attention_scores") else y

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None if mask is None else mask[0]

    def score(self, query: Tensor, key: Tensor) -> Tensor:
        """[batch, T, S]"""
        raise NotImplementedError

    def forward(
        self,
        inputs: Sequence[Tensor],
        mask: Sequence[Tensor | None] | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        query, value, key = inputs[0], inputs[1], inputs[-1]
        scores = self.score(query, key)
        query_mask, value_mask = (None, None) if mask is None else mask[:2]
        looks = None if value_mask is None else (value_mask != 0).unsqueeze(1)
        if use_causal_mask:
            causal = causal_mask(scores.shape[1], scores.shape[2], scores.device)
            looks = causal if looks is None else looks & causal
        weights = F.softmax(scores if looks is None else scores.masked_fill(~looks, LOW), dim=-1)
        kept = weights
        if self.training and self.dropout > 0:
            kept = weights * self.choice(weights.shape, self.dropout, self.seed, weights)
        y = torch.matmul(kept, value)
        if query_mask is not None:
            y = y * (query_mask != 0).unsqueeze(-1).to(y.dtype)
        return [y, weights] if return_attention_scores else y


class Attention(_ListAttention):
    """Dot-product attention (Luong et al. 2015): weights softmax(scale · q kᵀ), see ``_ListAttention`` for shapes.

    With ``score_mode="concat"`` the scores are factor · sum(tanh(scale · (q + k))). ``use_scale`` learns the scale.
    """

    weight_order = ("scale", "concat_score_weight")
    scale: Tensor | None
    concat_score_weight: Tensor | None

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(**base)
        if score_mode not in ("dot", "concat"):
            self._refuse(f"score_mode has to be 'dot' or 'concat'; received {score_mode!r}", code="TP010")
        self.use_scale, self.score_mode = use_scale, score_mode
        self._set_dropout(dropout, seed)
        for name in self.weight_order:
            self.register_parameter(name, None)

    def build(self, input_shape: Sequence[Shape]) -> None:
        if self.use_scale:
            self.add_weight((), "ones", name="scale")
        if self.score_mode == "concat":
            self.add_weight((), "ones", name="concat_score_weight")

    def score(self, query: Tensor, key: Tensor) -> Tensor:
        if self.score_mode == "dot":
            scores = torch.matmul(query, key.transpose(1, 2))
            return scores if self.scale is None else scores * self.scale
        sums = query.unsqueeze(2) + key.unsqueeze(1)
        assert self.concat_score_weight is not None
        return self.concat_score_weight * torch.tanh(sums if self.scale is None else self.scale * sums).sum(dim=-1)


class AdditiveAttention(_ListAttention):
    """Additive attention (Bahdanau et al. 2015): scores sum(scale * tanh(q + k)), scale [dim] where ``use_scale``.

    Shapes: see ``_ListAttention``.
    """

    weight_order = ("scale",)
    scale: Tensor | None

    def __init__(
        self, use_scale: bool = True, dropout: float = 0.0, seed: int | None = None, **base: Unpack[BaseArguments]
    ) -> None:
        super().__init__(**base)
        self.use_scale = use_scale
        self._set_dropout(dropout, seed)
        self.register_parameter("scale", None)

    def build(self, input_shape: Sequence[Shape]) -> None:
        if self.use_scale:
            features = input_shape[0][-1]
            assert features is not None
            self.add_weight((features,), "glorot_uniform", name="scale")

    def score(self, query: Tensor, key: Tensor) -> Tensor:
        scores = torch.tanh(query.unsqueeze(2) + key.unsqueeze(1))
        return (scores if self.scale is None else scores * self.scale).sum(dim=-1)
