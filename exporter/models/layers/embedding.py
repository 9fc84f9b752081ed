"""Embedding: class numbers to vectors."""

from __future__ import annotations

from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import initializers, regularizers
from ..structure import Shape
from .arguments import CoreArguments
from .base import Layer
from .windows import sizes


class Embedding(Layer):
    """A row of a table for each number: x [batch, ...] integers in [0, input_dim) → y [batch, ..., output_dim].

    weight [input_dim, output_dim]
    """

    weight_order = ("weight",)
    preferred_dtype = "int32"
    weight: Tensor

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: str | initializers.Initializer = "uniform",
        embeddings_regularizer: str | regularizers.Regularizer | None = None,
        mask_zero: bool = False,
        input_length: int | None = None,
        **base: Unpack[CoreArguments],
    ) -> None:
        if input_length is not None and base.get("input_shape") is None:
            base["input_shape"] = (input_length,)
        super().__init__(**base)
        self.embeddings_rows = sizes(input_dim, 1, "input_dim")[0]
        self.output_dim = sizes(output_dim, 1, "output_dim")[0]
        if mask_zero:
            self._refuse(
                "has no mask: mask_zero=True is not supported",
                code="TP010",
                help="leave it out and let 0 be a token of its own; the layers after it learn to ignore it",
            )
        self.mask_zero, self.input_length = False, None
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.register_parameter("weight", None)

    @property
    def input_dim(self) -> int:
        """The number of rows."""
        return self.embeddings_rows

    def build(self, input_shape: Shape) -> None:
        self.add_weight((self.embeddings_rows, self.output_dim), self.embeddings_initializer)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return (*input_shape, self.output_dim)

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype not in (torch.int32, torch.int64):
            x = x.to(torch.int32)
        try:
            return F.embedding(x, self.weight)
        except IndexError:  # on a CPU; other devices cannot say so while they run
            self._refuse(
                f"looks up numbers from 0 to {self.embeddings_rows - 1}; "
                f"received numbers from {int(x.min())} to {int(x.max())}",
                code="TP011",
                help="make input_dim larger than the largest number, or map what is unknown to a number of its own",
            )
