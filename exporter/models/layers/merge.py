"""Layers with several inputs: sums, products, means, extremes, concatenation."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Unpack

import torch
from torch import Tensor

from ..structure import Shape, format_shape, is_shape
from .arguments import BaseArguments
from .base import Layer


class _Merge(Layer):
    """Joins a list of tensors value by value; sizes of 1 stretch to the others'."""

    exactly: int | None = None

    def check_input(self, input_shape: Any) -> None:
        wanted = "exactly 2" if self.exactly == 2 else "at least 2"
        count = 1 if is_shape(input_shape) else len(input_shape)
        if is_shape(input_shape) or count < 2 or (self.exactly is not None and count != self.exactly):
            self._refuse(f"takes a list of {wanted} inputs, received {count}", help="call it on a list: Add()([a, b])")

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        rank = max(len(shape) for shape in input_shape)
        if any(len(shape) != rank for shape in input_shape):
            self._refuse(f"joins inputs of one rank, received {' and '.join(format_shape(s) for s in input_shape)}")
        result: list[int | None] = []
        for sizes in zip(*input_shape, strict=True):
            fixed = {size for size in sizes if size is not None and size != 1}
            if len(fixed) > 1:
                self._refuse(f"cannot join {' and '.join(format_shape(s) for s in input_shape)}: sizes differ")
            result.append(fixed.pop() if fixed else None if None in sizes else 1)
        return tuple(result)

    def compute_output_dtype(self, input_dtypes: Any) -> str:
        return "float32" if "float32" in input_dtypes else str(input_dtypes[0])

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Steps that count in every input that has a mask."""
        given = [item for item in mask or () if item is not None]
        return functools.reduce(torch.logical_and, given) if given else None

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        result = inputs[0]
        for other in inputs[1:]:
            result = self.join(result, other)
        return result

    def join(self, a: Tensor, b: Tensor) -> Tensor:
        """Two inputs into one."""
        raise NotImplementedError


class Add(_Merge):
    """a + b + ..."""

    def join(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b


class Subtract(_Merge):
    """a - b, two inputs."""

    exactly = 2

    def join(self, a: Tensor, b: Tensor) -> Tensor:
        return a - b


class Multiply(_Merge):
    """a · b · ..."""

    def join(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b


class Average(_Merge):
    """(a + b + ...) / count."""

    def compute_output_dtype(self, input_dtypes: Any) -> str:
        return "float32"

    def join(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        return super().forward(inputs) * (1.0 / len(inputs))


class Maximum(_Merge):
    """The larger one, value by value."""

    def join(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.maximum(a, b)


class Minimum(_Merge):
    """The smaller one, value by value."""

    def join(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.minimum(a, b)


class Concatenate(_Merge):
    """The inputs one after the other along ``axis``; all other sizes are equal."""

    def __init__(self, axis: int = -1, **base: Unpack[BaseArguments]) -> None:
        super().__init__(**base)
        self.axis = axis

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        rank = len(input_shape[0])
        axis = self.axis % rank
        if axis == 0:
            self._refuse("cannot join along the batch", code="TP010")
        for shape in input_shape[1:]:
            others = [
                (a, b) for position, (a, b) in enumerate(zip(input_shape[0], shape, strict=False)) if position != axis
            ]
            if len(shape) != rank or any(a is not None and b is not None and a != b for a, b in others):
                self._refuse(f"cannot join {' and '.join(format_shape(s) for s in input_shape)} along axis {self.axis}")
        sizes = [shape[axis] for shape in input_shape]
        known = [size for size in sizes if size is not None]
        joined = sum(known) if len(known) == len(sizes) else None
        return (*input_shape[0][:axis], joined, *input_shape[0][axis + 1 :])

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Along the steps one mask after the other; else steps that count in any input."""
        if mask is None:
            return None
        given = zip(inputs, mask, strict=True)
        whole = [torch.ones_like(x[..., 0], dtype=torch.bool) if item is None else item for x, item in given]
        is_along_steps = self.axis % inputs[0].ndim < inputs[0].ndim - 1
        return torch.cat(whole, dim=self.axis) if is_along_steps else functools.reduce(torch.logical_or, whole)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(inputs), dim=self.axis)


class Dot(Layer):
    """The product of two tensors summed over one axis of each: a [batch, ..., n], b [batch, ..., n].

    ``axes`` is one axis for both or a pair; ``normalize`` divides by the lengths first (cosine similarity).
    """

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **base: Unpack[BaseArguments]) -> None:
        super().__init__(**base)
        self.axes = [axes, axes] if isinstance(axes, int) else list(axes)
        self.normalize = normalize

    def check_input(self, input_shape: Any) -> None:
        if is_shape(input_shape) or len(input_shape) != 2:
            self._refuse("takes a list of exactly 2 inputs")
        a, b = input_shape
        left, right = self.axes[0] % len(a), self.axes[1] % len(b)
        if left == 0 or right == 0 or a[left] != b[right] or len(a) > 3 or len(b) > 3:
            self._refuse(f"cannot multiply {format_shape(a)} with {format_shape(b)} over axes {self.axes}")

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        a, b = input_shape
        left, right = self.axes[0] % len(a), self.axes[1] % len(b)
        kept = [size for axis, size in enumerate(a) if axis not in (0, left)]
        kept += [size for axis, size in enumerate(b) if axis not in (0, right)]
        return (a[0], *(kept or [1]))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        a, b = inputs
        a, b = (_axis_last(x, axis) for x, axis in zip((a, b), self.axes, strict=True))
        if self.normalize:
            a = a * torch.rsqrt(a.square().sum(dim=-1, keepdim=True).clamp(min=1e-12))
            b = b * torch.rsqrt(b.square().sum(dim=-1, keepdim=True).clamp(min=1e-12))
        if a.ndim == 2 and b.ndim == 2:
            return (a * b).sum(dim=-1, keepdim=True)
        if a.ndim == 2:
            return torch.matmul(b, a.unsqueeze(-1)).squeeze(-1)
        return torch.matmul(a, b.unsqueeze(-1)).squeeze(-1) if b.ndim == 2 else torch.matmul(a, b.transpose(1, 2))


def _axis_last(x: Tensor, axis: int) -> Tensor:
    axis %= x.ndim
    return x if axis == x.ndim - 1 else x.permute(*(i for i in range(x.ndim) if i != axis), axis)
