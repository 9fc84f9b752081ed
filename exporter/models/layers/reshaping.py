"""Layers that move numbers without computing: Flatten, Reshape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

import torch
from torch import Tensor

from ..structure import Shape, format_shape
from .arguments import BaseArguments
from .base import Layer
from .windows import channels_last, sizes


class Flatten(Layer):
    """All axes but the batch become one: x [batch, a, b, ...] → y [batch, a·b·...]."""

    def __init__(self, data_format: str | None = None, **base: Unpack[BaseArguments]) -> None:
        super().__init__(**base)
        self.data_format = channels_last(data_format)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        sizes = [size for size in input_shape[1:] if size is not None]
        return (input_shape[0], math.prod(sizes) if len(sizes) == len(input_shape) - 1 else None)

    def compute_output_dtype(self, input_dtypes: Any) -> str:
        return str(input_dtypes)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) if x.ndim > 1 else x.unsqueeze(1)


class Reshape(Layer):
    """The same numbers under another shape: x [batch, ...] → y [batch, *target_shape]; one size may be -1."""

    def __init__(self, target_shape: Sequence[int], **base: Unpack[BaseArguments]) -> None:
        super().__init__(**base)
        self.target_shape = tuple(int(size) for size in target_shape)
        if sum(size == -1 for size in self.target_shape) > 1 or any(
            size < 1 and size != -1 for size in self.target_shape
        ):
            self._refuse(
                f"target_shape has to be positive sizes with at most one -1; received {target_shape!r}", code="TP010"
            )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        known = [size for size in input_shape[1:] if size is not None]
        if len(known) < len(input_shape) - 1:
            return (input_shape[0], *(None if size == -1 else size for size in self.target_shape))
        total, rest = math.prod(known), math.prod(size for size in self.target_shape if size != -1)
        if total % rest or (-1 not in self.target_shape and total != rest):
            self._refuse(f"cannot arrange {format_shape(input_shape)} as {list(self.target_shape)}: the sizes differ")
        return (input_shape[0], *(total // rest if size == -1 else size for size in self.target_shape))

    def compute_output_dtype(self, input_dtypes: Any) -> str:
        return str(input_dtypes)

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], *self.target_shape)


class Permute(Layer):
    """The axes of each sample in another order: ``dims`` counts from 1, so (2, 1) swaps the first two."""

    def __init__(self, dims: Sequence[int], **base: Unpack[BaseArguments]) -> None:
        super().__init__(**base)
        self.dims = tuple(int(axis) for axis in dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            self._refuse(f"dims has to name each of 1 to {len(self.dims)} once; received {dims!r}", code="TP010")

    def check_input(self, input_shape: Any) -> None:
        if len(input_shape) != len(self.dims) + 1:
            self._refuse(f"reorders {len(self.dims)} axes beside the batch, received {format_shape(input_shape)}")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], *(input_shape[axis] for axis in self.dims))

    def compute_output_dtype(self, input_dtypes: Any) -> str:
        return str(input_dtypes)

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, *self.dims)


class RepeatVector(Layer):
    """Each sample n times: x [batch, features] → y [batch, n, features]."""

    input_rank = 2

    def __init__(self, n: int, **base: Unpack[BaseArguments]) -> None:
        super().__init__(**base)
        self.n = sizes(n, 1, "n")[0]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.n, input_shape[1])

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.unsqueeze(1)] * self.n, dim=1)
