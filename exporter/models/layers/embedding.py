"""Embedding: class numbers to vectors."""

from __future__ import annotations

from typing import Any, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import initializers, regularizers
from ..structure import Shape
from . import masks
from .arguments import CoreArguments
from .base import Layer
from .windows import sizes


class Embedding(Layer):
    """A row of a table for each number: x [batch, ...] integers in [0, input_dim) → y [batch, ..., output_dim].

    weight [input_dim, output_dim]

    With ``mask_zero`` steps of number 0 are padding: layers behind this one skip them, see ``masks``.
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
        self.mask_zero, self.input_length = mask_zero, None
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.register_parameter("weight", None)

    @property
    def input_dim(self) -> int:
        """The number of rows."""
        return self.embeddings_rows

    def build(self, input_shape: Shape) -> None:
        self.add_weight((self.embeddings_rows, self.output_dim), self.embeddings_initializer)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return inputs != 0 if self.mask_zero else None

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return (*input_shape, self.output_dim)

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype not in (torch.int32, torch.int64):
            x = x.to(torch.int32)
        try:
            y = F.embedding(x, self.weight)
            return masks.attach(y, x != 0) if self.mask_zero else y
        except IndexError:  # on a CPU; other devices cannot say so while they run
            self._refuse(
                f"looks up numbers from 0 to {self.embeddings_rows - 1}; "
                f"received numbers from {int(x.min())} to {int(x.max())}",
                code="TP011",
                help="make input_dim larger than the largest number, or map what is unknown to a number of its own",
            )
